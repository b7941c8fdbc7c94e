#!/usr/bin/env python3
"""Hit rates of eviction policies for idle server connections: 300 tenant databases, 90 places.

A request finds its database's connection (a hit) or takes the place of another's (a miss). Without concurrency: what is
compared is the choice of who gives way. See docs/adr/0008-eviction.md.
"""
import bisect
import collections
import itertools
import random

TENANTS, PLACES, REQUESTS, HALF_LIFE = 300, 90, 200_000, 20_000


def zipf(exponent, seed):
    rng = random.Random(seed)
    order = list(range(TENANTS))
    rng.shuffle(order)
    sums = list(itertools.accumulate(1 / (rank + 1) ** exponent for rank in range(TENANTS)))
    return [order[bisect.bisect_left(sums, rng.random() * sums[-1])] for _ in range(REQUESTS)]


def scanned(requests):
    """Every tenant once, in order, after each 5,000 requests: a nightly job, a metrics collector."""
    out = []
    for i, tenant in enumerate(requests):
        if i % 5_000 == 0:
            out.extend(range(TENANTS))
        out.append(tenant)
    return out


def shifting(requests):
    """The hot tenants are others in the second half."""
    half = len(requests) // 2
    return requests[:half] + [(tenant + TENANTS // 2) % TENANTS for tenant in requests[half:]]


def lru(requests):
    kept, hits = collections.OrderedDict(), 0
    for tenant in requests:
        if tenant in kept:
            hits += 1
            kept.move_to_end(tenant)
        else:
            if len(kept) == PLACES:
                kept.popitem(last=False)
            kept[tenant] = True
    return hits


def clock(requests):
    kept, ring, hand, hits = {}, [], 0, 0
    for tenant in requests:
        if tenant in kept:
            hits += 1
            kept[tenant] = True
            continue
        if len(ring) < PLACES:
            ring.append(tenant)
        else:
            while kept[ring[hand]]:
                kept[ring[hand]] = False
                hand = (hand + 1) % PLACES
            del kept[ring[hand]]
            ring[hand] = tenant
            hand = (hand + 1) % PLACES
        kept[tenant] = False
    return hits


def random_one(requests):
    rng, kept, places, hits = random.Random(1), {}, [], 0
    for tenant in requests:
        if tenant in kept:
            hits += 1
        elif len(places) < PLACES:
            kept[tenant] = len(places)
            places.append(tenant)
        else:
            i = rng.randrange(PLACES)
            del kept[places[i]]
            places[i] = tenant
            kept[tenant] = i
    return hits


def two_queues(requests):
    """2Q: new ones prove themselves in a short queue before they may push out old ones."""
    new_most, ghosts_most = PLACES // 4, PLACES // 2
    new, old, ghosts, hits = collections.OrderedDict(), collections.OrderedDict(), collections.OrderedDict(), 0
    for tenant in requests:
        if tenant in old:
            hits += 1
            old.move_to_end(tenant)
            continue
        if tenant in new:
            hits += 1
            continue
        if len(new) + len(old) >= PLACES:
            if len(new) > new_most or not old:
                ghosts[new.popitem(last=False)[0]] = True
                if len(ghosts) > ghosts_most:
                    ghosts.popitem(last=False)
            else:
                old.popitem(last=False)
        (old if ghosts.pop(tenant, None) else new)[tenant] = True
    return hits


def s3_fifo(requests):
    small_most, ghosts_most = PLACES // 10, PLACES
    small, main, ghosts, count, hits = collections.deque(), collections.deque(), collections.OrderedDict(), {}, 0

    def evict():
        while True:
            if len(small) > small_most or not main:
                tenant = small.popleft()
                if count[tenant] > 1:
                    main.append(tenant)
                    count[tenant] = 0
                    continue
                ghosts[tenant] = True
                if len(ghosts) > ghosts_most:
                    ghosts.popitem(last=False)
            else:
                tenant = main.popleft()
                if count[tenant] > 0:
                    count[tenant] -= 1
                    main.append(tenant)
                    continue
            del count[tenant]
            return

    for tenant in requests:
        if tenant in count:
            hits += 1
            count[tenant] = min(3, count[tenant] + 1)
            continue
        if len(count) >= PLACES:
            evict()
        (main if ghosts.pop(tenant, None) else small).append(tenant)
        count[tenant] = 0
    return hits


def frequency(requests, half_life):
    """How often a database was asked for, also while it had no connection; fading, so that the past is forgotten."""
    heat, at, kept, hits = collections.defaultdict(float), collections.defaultdict(int), set(), 0

    def now(tenant, i):
        return heat[tenant] * 2 ** ((at[tenant] - i) / half_life)

    for i, tenant in enumerate(requests):
        heat[tenant], at[tenant] = now(tenant, i) + 1, i
        if tenant in kept:
            hits += 1
            continue
        if len(kept) >= PLACES:
            kept.remove(min(kept, key=lambda other: now(other, i)))
        kept.add(tenant)
    return hits


POLICIES = {
    "random": random_one,
    "LRU": lru,
    "CLOCK": clock,
    "2Q": two_queues,
    "S3-FIFO": s3_fifo,
    "frequency, never fading": lambda requests: frequency(requests, 1e12),
    "frequency, fading": lambda requests: frequency(requests, HALF_LIFE),
}


def main():
    loads = {f"Zipf {exponent}": zipf(exponent, 7) for exponent in (0.8, 1.0, 1.2)}
    loads["1.0 + scans"] = scanned(loads["Zipf 1.0"])
    loads["1.0, shifting"] = shifting(loads["Zipf 1.0"])
    print("| policy | " + " | ".join(loads) + " |")
    print("|---|" + "---|" * len(loads))
    for name, policy in POLICIES.items():
        rates = [f"{100 * policy(requests) / len(requests):.1f} %" for requests in loads.values()]
        print(f"| {name} | " + " | ".join(rates) + " |", flush=True)


if __name__ == "__main__":
    main()
