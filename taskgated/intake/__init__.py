"""From a file in the spool to jobs in the store.

``emitter`` and ``watch`` hear of names, ``scan`` lists them, ``settle`` asks whether they are written to,
``claim`` takes a file out of the spool, ``take`` and ``lists`` make jobs of it, ``reject`` puts aside what
cannot become any, and ``intake`` is the thread that does all this.
"""
