"""Directives that scripts have for other batch systems (``#SBATCH``, ``#PBS``, ``#$``): what they say in our keys.

``dialect`` has what a dialect is made of, ``wishes`` what the reading of one script collects; each dialect has a
module of its own with its table of options, from which the manual is made; ``reading`` goes through a script.
"""
