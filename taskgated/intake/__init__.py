"""From a file in the spool to jobs in the store.

The way of a file, from top to bottom:

==============  =======================================================================================
``emitter``     hears from the kernel which names in one directory are worth a look
``hints``       keeps such names until the intake thread takes them
``intake``      is that thread: it knows when something is to be done, and sleeps in between
``session``     is what exists while the spool is open: one turn of work, and then the next
``drain``       goes through the names of one directory: take, put aside, pass over or leave for later
``settle``      opens a file if no process writes to it
``take``        renames it into its claim, and goes on with it; says why no crash loses or doubles any
``read``        reads it, and adds its jobs to the batch
``batch``       puts the jobs of many files into the store together, by the ``Sink`` of ``events``
``fate``        carries out what becomes of the file: it is finished, kept or rejected, or it waits
``done``        has the store forget a claim, and removes what is left of it
==============  =======================================================================================

What they ask on the way: ``listing`` which names are meant for us, and in what order they came; ``later`` which are
to be looked at again; ``understand`` and ``lists`` what jobs are in a file; ``entitled`` who may use a queue;
``shares`` how many more jobs there may be; ``data`` which queues take what never runs. ``aside`` and ``reject`` put
aside what cannot become a job, and ``troubled`` remembers what was told of it.

What they have in hand: ``claimed`` is a claimed file, ``pending`` are those that wait. ``claim`` is the directory of
claims, ``litter`` what jobs leave behind there, ``recover`` takes up what the last session left.

Where they work: ``place`` is one directory, ``watch`` all that are watched, ``quota`` how many may be. ``inlet`` is
what is to be done in one of them, ``inlets`` all that files are taken from, ``owners`` whose they are. ``settings``
is the configuration that holds, ``condition`` what is wrong with the spool, ``pulse`` whether the thread is alive.
``events`` has all that intake tells the rest of the daemon, and needs of it.
"""
