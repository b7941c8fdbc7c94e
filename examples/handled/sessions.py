#!/usr/bin/env python3
"""Whose session a request belongs to: what every request of the back office asks first, and so the primary side's
most frequent query. Answers are kept for --ttl seconds, and dropped at once when the primary side says that they may
have changed.

The dialogue is on standard input and output, a line each:

    check TOKEN     the user's e-mail address, or "refused", or "unavailable: …" while the primary side does not answer
    pass SECONDS    turns the clock on, which stands still otherwise
    kept            how many answers are kept
    stored          how many stand in memory: those whose time is over leave it by and by

PRIMARY_DATABASE_URL: what a lease on the primary side's central database gave.
"""

import argparse
import hashlib
import os
import sys

import psycopg

LOOK_UP = """
SELECT u.id, u.email, extract(epoch FROM s.expires_at - now())::float8
FROM config.sessions s JOIN config.users u ON u.id = s.user_id
WHERE s.token_digest = %s AND s.expires_at > now() AND NOT u.disabled
"""


class Clock:
    """Seconds; turned by hand, so that half a minute need not be waited for."""

    def __init__(self):
        self.now = 0.0


class Changes:
    """Users whose sessions may have changed, as the primary side tells it on its channel `sessions`."""

    def __init__(self, url):
        self._url = url
        self._connection = None

    def heard(self):
        """Ids since the last call, without waiting. None: it may be all, or some may have been missed."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True)
                self._connection.execute("LISTEN sessions")
                return None
            payloads = [notice.payload for notice in self._connection.notifies(timeout=0)]
            return [int(payload) for payload in payloads] if all(payloads) else None
        except psycopg.OperationalError as error:
            print(f"   not listening: {str(error).strip().splitlines()[0]}", file=sys.stderr)
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            return None

    @property
    def listening(self):
        return self._connection is not None


class Sessions:
    """Look-ups and what is kept of them. Refusals are not kept: a session that has just begun is to be found."""

    def __init__(self, url, ttl, clock):
        self._url, self._clock, self._ttl = url, clock, ttl
        self._connection = None
        self._changes = Changes(url)
        self._kept = {}  # by token: (user id, e-mail address, until when)
        self._swept = clock.now

    def check(self, token):
        self._drop_what_changed()
        self._drop_what_expired()
        kept = self._kept.get(token)
        if kept is not None and self._clock.now < kept[2]:
            return kept[1]
        self._kept.pop(token, None)
        # Who listens first and looks up then misses nothing: what this does not see yet is told on the channel.
        row = self._look_up(hashlib.sha256(token.encode()).digest())
        if row is None:
            return None
        user, email, left = row
        if self._ttl > 0 and self._changes.listening:
            self._kept[token] = (user, email, self._clock.now + min(self._ttl, left))
        return email

    def kept(self):
        self._drop_what_changed()
        return sum(self._clock.now < until for _, _, until in self._kept.values())

    def stored(self):
        return len(self._kept)

    def _look_up(self, digest):
        for attempt in (1, 2):
            try:
                if self._connection is None:
                    # One query a look-up: none to prepare it.
                    self._connection = psycopg.connect(self._url, autocommit=True, prepare_threshold=None)
                return self._connection.execute(LOOK_UP, [digest]).fetchone()
            except psycopg.OperationalError:  # a connection may have ended while nobody asked
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                if attempt == 2:
                    raise

    def _drop_what_changed(self):
        users = self._changes.heard()
        if users is None:
            self._kept.clear()
        elif users:
            self._kept = {token: kept for token, kept in self._kept.items() if kept[0] not in users}

    def _drop_what_expired(self):
        # Now and then: tokens that nobody shows any more would stay for ever.
        if self._clock.now < self._swept + self._ttl:
            return
        self._swept = self._clock.now
        self._kept = {token: kept for token, kept in self._kept.items() if self._clock.now < kept[2]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ttl", type=float, default=30, help="how long an answer is kept, in seconds; 0: not at all")
    flags = parser.parse_args()
    if flags.ttl < 0:
        parser.error(f"--ttl is '{flags.ttl}'; allowed: 0 and more")
    url = os.environ.get("PRIMARY_DATABASE_URL", "")
    if not url:
        parser.error("PRIMARY_DATABASE_URL is ''; allowed: a PostgreSQL connection string")
    clock = Clock()
    sessions = Sessions(url, flags.ttl, clock)
    for line in sys.stdin:
        match line.split():
            case ["check", token]:
                try:
                    answer = sessions.check(token) or "refused"
                except psycopg.Error as error:
                    answer = f"unavailable: {(str(error).strip() or 'no reason').splitlines()[0]}"
            case ["pass", seconds] if seconds.isdecimal():
                clock.now += int(seconds)
                answer = "ok"
            case ["kept"]:
                answer = str(sessions.kept())
            case ["stored"]:
                answer = str(sessions.stored())
            case _:
                answer = f"what is '{line.strip()}'? allowed: check TOKEN, pass SECONDS, kept, stored"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
