"""An Airflow task whose heavy part passes the gate of the worker's host: the task waits, and ends as the job ends.

Also when taskgated is restarted or upgraded meanwhile: the job runs on, and the task goes on waiting for it.
"""

from datetime import datetime

from airflow import DAG
from airflow.operators.bash import BashOperator

with DAG("nightly_report", schedule="0 3 * * *", start_date=datetime(2026, 1, 1), catchup=False):
    BashOperator(
        task_id="report",
        # The user that Airflow's worker runs as is a member of the group taskgate. The blank at the end keeps Airflow
        # from taking the command for the name of a template.
        bash_command="/usr/share/doc/taskgated/examples/submit-and-wait /opt/etl/report.yaml etl ",
        # To try again is the job's own business (retry: in its file). A task tried again submits a second job.
        retries=0,
    )
