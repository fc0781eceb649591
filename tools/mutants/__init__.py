"""A mutation tester: changes one thing in a module and reports what neither its tests nor a swarm noticed.

    python -m tools.mutants MODULE… [--swarm N] [--by tests|swarm] [--sample N] [--jobs 2] [--only N] [--resume FILE]

MODULE is `engine.codec`, a package (`sim.network`), or a file's path. `mutations.py` says what is changed. Pytest
and the module's own imports are loaded once; each mutant then runs in a fork, in which an import hook hands out the
changed source. Where it is enough that one function changes, the fork is one of a process that has collected the tests
(`in_place.py`). Tests catch a mutant when one fails, when it cannot be imported, or when it runs into the timeout.
A swarm catches it when a random scenario fails; if none does but a trace differs from that of the unchanged module,
the scenarios reached the change and no check noticed. Survivors that `--explained` lists are equivalent: they are
counted apart and do not fail the run. A mutant meets only the tests that reach its line (`reach.py`).
"""
