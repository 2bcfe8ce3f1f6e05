"""Owners whom an earlier version has noted by their uids get their names, in the SQLite store."""

from __future__ import annotations

import json

from taskgated.core.owner import number_of
from taskgated.store.naming import NAMED
from taskgated.store.sqlite.places import Places


class SqliteNaming(Places):
    """``Naming``."""

    def name(self, uid: int, owner: str) -> bool:
        if number_of(owner) is None:
            if self._sql.run("owner_named", before=str(uid), owner=owner, limit=NAMED) == NAMED:
                return False
            self._sql.run("conditions_named", before=str(uid), owner=owner)
            self._sql.run("came_named", before=str(uid), owner=owner)
        left = [other for other in self.unnamed() if other != uid]
        self._sql.run("meta_put", key="unnamed", value=json.dumps(left))
        return True
