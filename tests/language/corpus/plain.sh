#!/bin/bash
# SLURM and PBS are named here, and that is all.
echo "#SBATCH is a word"
