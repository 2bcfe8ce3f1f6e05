"""What every store does, whatever it is made of: the suite that each of them passes.

A second store joins with a folder of its own, ``taskgated/store/NAME/``, and a line in ``stores.STORES`` that opens
it on an empty directory. The tests here speak to it by the contract alone, one file for each concern. What is special
about one store (its files, its migrations, its damages) has a folder beside this one.
"""
