#!/bin/bash
#SBATCH --nodes=8
#SBATCH --time=1:00
#TASKGATE name: here
#TASKGATE timeout: 2h
./run --local
