"""What ResourceManagers answer, in the shapes that the documents of Hadoop have (ResourceManagerRest.html)."""

from __future__ import annotations

from typing import Any

SCHEDULER, APPS = "/ws/v1/cluster/scheduler", "/ws/v1/cluster/apps"


def leaf(name: str, pending: int = 0, running: int = 0, used: Any = 0.0, **more: Any) -> dict[str, Any]:
    return {
        "type": "capacitySchedulerLeafQueueInfo", "queueName": name, "usedCapacity": used, "state": "RUNNING",
        "numApplications": pending + running, "numActiveApplications": running, "numPendingApplications": pending,
        **more,
    }  # fmt: skip


def parent(name: str, *queues: dict[str, Any], used: float = 0.0) -> dict[str, Any]:
    number = sum(queue["numApplications"] for queue in queues)
    return {"queueName": name, "usedCapacity": used, "numApplications": number, "state": "RUNNING",
            "queues": {"queue": list(queues)}}  # fmt: skip


def capacity(*queues: dict[str, Any]) -> dict[str, Any]:
    info = {"type": "capacityScheduler", "queueName": "root", "usedCapacity": 40.0, "queues": {"queue": list(queues)}}
    return {"scheduler": {"schedulerInfo": info}}


def fair_leaf(name: str, pending: int = 0, running: int = 0, memory: int = 0, cores: int = 0) -> dict[str, Any]:
    return {
        "type": "fairSchedulerLeafQueueInfo", "queueName": name, "numPendingApps": pending, "numActiveApps": running,
        "usedResources": {"memory": memory, "vCores": cores}, "maxResources": {"memory": 8192, "vCores": 8},
    }  # fmt: skip


def fair(*queues: dict[str, Any]) -> dict[str, Any]:
    root = {"queueName": "root", "childQueues": {"queue": list(queues)}, "usedResources": {"memory": 0, "vCores": 0},
            "maxResources": {"memory": 8192, "vCores": 8}}  # fmt: skip
    return {"scheduler": {"schedulerInfo": {"type": "fairScheduler", "rootQueue": root}}}


def accepted(queue: str, number: int) -> dict[str, Any]:
    return {
        "apps": {"app": [{"id": f"application_1_{n:04}", "queue": queue, "state": "ACCEPTED"} for n in range(number)]}
    }
