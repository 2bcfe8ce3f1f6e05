#!/bin/bash
#SBATCH --job-name=portable
#SBATCH --time=2:00:00
#PBS -N portable
#PBS -l nodes=4:ppn=8,walltime=02:00:00
cd "${SLURM_SUBMIT_DIR:-$PBS_O_WORKDIR}"
make check
