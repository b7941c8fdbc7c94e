#!/usr/bin/env python3
"""Holds the rendered overlays to the published schemas: schemas.py --work DIR

npm's kubernetes-models are made from Kubernetes', cert-manager's and the Prometheus operator's own: their validators check values, their
types unknown fields, which the validators let pass. Exits with 77 (ctest's skip) where there is no kubectl or no way to npm."""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / 'drivers'))
from npm import npm_install  # noqa: E402

PACKAGES = {'monitoring.coreos.com': '@kubernetes-models/prometheus-operator', 'cert-manager.io': '@kubernetes-models/cert-manager'}
# There is no published package of these.
WITHOUT_SCHEMA = {'postgresql.cnpg.io'}


def module(resource):
    """What to import for a kind: ('kubernetes-models/apps/v1', 'Deployment')."""
    group, _, version = resource['apiVersion'].rpartition('/')
    return '/'.join(part for part in (PACKAGES.get(group, 'kubernetes-models'), group, version) if part), resource['kind']


def programs(resources):
    """The same resources for tsc and for node."""
    kinds = {module(resource): f'Kind{number}' for number, resource in enumerate(resources)}
    types = [f"import type {{ I{kind} as {name} }} from '{path}/{kind}';" for (path, kind), name in kinds.items()]
    classes = [f"import {{ {kind} as {name} }} from '{path}/{kind}';" for (path, kind), name in kinds.items()]
    checks = ['let failed = 0;']
    for number, resource in enumerate(resources):
        name, text = kinds[module(resource)], json.dumps(resource)
        title = json.dumps(f"{resource['kind']} {resource['metadata']['name']}")
        types.append(f'export const resource{number}: {name} = {text};')
        checks.append(f'try {{ new {name}({text}).validate(); }} catch (error) {{ failed = 1; console.log({title}, String(error)); }}')
    return '\n'.join(types), '\n'.join([*classes, *checks, 'process.exit(failed);'])


def verdict(work, resources):
    """What is wrong with them, empty if nothing."""
    types, checks = programs(resources)
    (work / 'types.ts').write_text(types)
    (work / 'checks.mjs').write_text(checks)
    said = ''
    for argv in (['node_modules/.bin/tsc', '--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2022', 'types.ts'],
                 ['node', 'checks.mjs']):
        done = subprocess.run(argv, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        said += done.stdout + (done.stderr if done.returncode else '')
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--work', required=True, type=pathlib.Path)
    flags = parser.parse_args()
    if not shutil.which('kubectl'):
        print('SKIPPED: there is no kubectl here')
        sys.exit(77)
    npm_install(HERE, flags.work)
    failed = False
    for overlay in sorted((PROJECT / 'k8s/overlays').iterdir()):
        done = subprocess.run(['kubectl', 'kustomize', str(overlay)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        resources = [r for r in yaml.safe_load_all(done.stdout) if r['apiVersion'].partition('/')[0] not in WITHOUT_SCHEMA]
        said = verdict(flags.work, resources)
        print(f'{overlay.name}: {len(resources)} resources', said or 'agree with the schemas', sep='\n')
        failed |= bool(said)
    # That it would find something: a misspelt field, and a value of another type.
    deployment = next(r for r in resources if r['kind'] == 'Deployment')
    deployment['spec']['template']['spec']['containers'][0]['imagePullPolcy'] = 'Always'
    deployment['spec']['template']['spec']['terminationGracePeriodSeconds'] = 'long'
    said = verdict(flags.work, [deployment])
    if not re.search('imagePullPolcy', said) or not re.search('terminationGracePeriodSeconds must be integer', said):
        sys.exit(f'mistakes made on purpose were not found:\n{said}')
    sys.exit(failed)


if __name__ == '__main__':
    main()
