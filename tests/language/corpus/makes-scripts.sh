#!/bin/bash
# Writes a job for each chromosome.
for chromosome in $(seq 22); do
cat > "chr$chromosome.slurm" <<EOF
#!/bin/bash
#SBATCH --job-name=chr$chromosome
#SBATCH --nodes=2
./impute $chromosome
EOF
done
