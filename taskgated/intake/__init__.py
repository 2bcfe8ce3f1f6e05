"""From a file in the spool to jobs in the store.

``emitter`` and ``watch`` hear of names, ``scan`` lists them, ``drain`` looks at each, ``settle`` asks whether it is
written to, ``claim`` takes a file out of the spool. ``take``, ``lists`` and ``batch`` make jobs of it, ``reject`` and
``aside`` put aside what cannot become any. ``recover`` takes up what was left, ``data`` knows the queues whose files
never run, ``litter`` removes what jobs leave behind, and ``intake`` is the thread that does all this.
"""
