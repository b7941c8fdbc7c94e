#!/usr/bin/env python3
"""Renders the overlays of k8s/ and holds them to the code: check.py --binaries build/dev/bin

Every file that a pod mounts is laid out as a kubelet would, and the daemon itself reads it with the pod's own arguments and
variables; ports, images, metrics and times are compared with what the configuration, the Dockerfile, docs/metrics.md and
the daemons say; the network policies are evaluated. Exits with 77 (ctest's skip) where there is no kubectl."""
import argparse
import copy
import ipaddress
import pathlib
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

from issuer import issued
from pods import Manifests, component, container, environment, labels_of, not_restricted, reaches

PROJECT = pathlib.Path(__file__).resolve().parents[2]
OVERLAYS = sorted(path.name for path in (PROJECT / 'k8s/overlays').iterdir())
# Which says of itself that it is.
INSECURE = ['dev']
BINARIES = None
# Of docs/operations.md, Scale out; PostgreSQL keeps three for superusers.
RESERVED = 3
# What a gateway takes after its drain (kRpcPatience and the rest), and how long a provisioner's step may (kStopPatience).
GATEWAY_AFTER_DRAIN, PROVISIONER_STOP = 10, 20
DEFAULTS = {'drain_timeout': '30s', 'max_connections': 50, 'parallelism': 4}


def run(*argv, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **options)
    assert done.returncode == 0, f'{argv}: exit status {done.returncode}\n{done.stderr}'
    return done.stdout


def services_of(config):
    return [re.sub('-service$', '', service['name']) for service in config['services']]


def render(overlay, tree=PROJECT):
    resources = list(yaml.safe_load_all(run('kubectl', 'kustomize', str(tree / 'k8s/overlays' / overlay))))
    config = next(r['data']['leasehold.yaml'] for r in resources if 'leasehold.yaml' in r.get('data', {}))
    services = services_of(yaml.safe_load(config))
    superusers = ['--superusers'] if overlay in INSECURE else []
    secrets = yaml.safe_load_all(run(str(tree / 'k8s/secrets'), *superusers, *services))
    manifests = Manifests(resources, list(secrets))
    manifests.secrets |= issued(manifests.of('Certificate'))
    if overlay == 'production':
        # Made by whoever has the instances.
        manifests.configs['instances-ca'] = {'ca.crt': manifests.secrets['gateway-tls']['ca.crt']}
    return manifests, yaml.safe_load(config)


def seconds(text):
    return int(re.fullmatch(r'(\d+)s', text)[1])


def check_config(manifests, workload):
    """The daemon's own opinion of what its pod is given. Returns its complaint, empty if it has none."""
    program = container(workload)['image'].partition(':')[0]
    with tempfile.TemporaryDirectory() as root:
        manifests.lay_out(workload, root)
        arguments = [re.sub('^(?=/etc/leasehold)', root, argument) for argument in container(workload)['args']]
        done = subprocess.run([f'{BINARIES}/{program}', *arguments, '--check-config'], env=environment(workload),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ''


def files_named(config):
    """All that a configuration names, by the absolute paths that they have in a pod."""
    if isinstance(config, dict):
        named = {posixpath.normpath(posixpath.join('/etc/leasehold/config', value)) for field, value in config.items()
                 if field.endswith('_file')}
        named |= set(re.findall('sslrootcert=([^&]+)', config.get('dsn', '')))
        return named.union(*map(files_named, config.values()))
    return set().union(*map(files_named, config)) if isinstance(config, list) else set()


def policy_allows(policy, principal, operation, service):
    done = subprocess.run([f'{BINARIES}/leasehold', 'policy', 'check', operation, '--as', principal, '--service', service,
                           '--file', policy], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


class MadeFiles(unittest.TestCase):
    def test_configurations_are_what_their_commands_make(self):
        made = [*PROJECT.glob('k8s/overlays/*/leasehold.yaml'), *PROJECT.glob('docker/compose/leasehold*.yaml')]
        self.assertEqual(len(made), len(OVERLAYS) + 2)
        for path in made:
            command = ' '.join(re.findall('^#   (.*?) ?\\\\?$', path.read_text(), re.M))
            with tempfile.TemporaryDirectory() as folder:
                relative = str(path.relative_to(PROJECT))
                for name in ('docker', 'examples'):
                    (pathlib.Path(folder) / name).symlink_to(PROJECT / name)
                # The output's own folder is not the project's.
                (pathlib.Path(folder) / 'docker').unlink()
                shutil.copytree(PROJECT / 'docker', pathlib.Path(folder) / 'docker')
                run('bash', '-c', command, cwd=folder)
                self.assertEqual((pathlib.Path(folder) / relative).read_text(), path.read_text(), relative)

    def test_every_migration_is_named(self):
        folders = sorted((PROJECT / 'examples/hrms/migrations').iterdir())
        self.assertTrue(folders)
        for folder in folders:
            generators = yaml.safe_load((folder / 'kustomization.yaml').read_text())['configMapGenerator']
            named = {generator['name']: generator['files'] for generator in generators}
            for kind in ('tenant', 'central'):
                files = sorted(str(path.relative_to(folder)) for path in (folder / kind).glob('*.sql'))
                self.assertEqual(named[f'migrations-{kind}'], files, folder)


class Overlay:
    """The checks of one overlay; each gets a test case of its own below."""
    overlay = ''

    @classmethod
    def setUpClass(cls):
        cls.manifests, cls.config = render(cls.overlay)

    def test_has_what_a_stack_needs(self):
        manifests, config = self.manifests, self.config
        deployments = sorted(d['metadata']['name'] for d in manifests.ours())
        self.assertEqual(deployments, sorted(['gateway', *(f'provisioner-{s}' for s in services_of(config))]))
        budgets = [b['spec']['selector']['matchLabels'] for b in manifests.of('PodDisruptionBudget')]
        for deployment in manifests.ours():
            self.assertEqual(sum(budget.items() <= labels_of(deployment).items() for budget in budgets), 1)
            self.assertTrue(deployment['spec']['template']['spec']['topologySpreadConstraints'])

    def test_the_daemons_take_what_their_pods_are_given(self):
        manifests = self.manifests
        for deployment in manifests.ours():
            self.assertEqual(check_config(manifests, deployment), '', deployment['metadata']['name'])

    def test_a_wrong_key_would_be_found(self):
        manifests = copy.deepcopy(self.manifests)
        data = next(data for data in manifests.configs.values() if 'leasehold.yaml' in data)
        data['leasehold.yaml'] = data['leasehold.yaml'].replace('signing_keys_file', 'signing_keys_fils')
        self.assertIn('signing_keys_fil', check_config(manifests, manifests.named('Deployment', 'gateway')))

    def test_every_file_that_is_mounted_is_named(self):
        named = files_named(self.config)
        for deployment in self.manifests.ours():
            for path in self.manifests.files(deployment):
                # The configuration itself; migrations, which are named by their folder; what operators want of a login.
                if re.search('/config/leasehold.yaml$|/migrations/|/instance/username$', path):
                    continue
                self.assertIn(path, named, deployment['metadata']['name'])

    def test_insecure_is_for_those_that_say_so(self):
        for deployment in self.manifests.ours():
            self.assertEqual('--insecure' in container(deployment)['args'], self.overlay in INSECURE)
        text = (PROJECT / 'k8s/overlays' / self.overlay / 'kustomization.yaml').read_text()
        self.assertEqual('INSECURE' in text, self.overlay in INSECURE)

    def test_images_are_those_of_the_dockerfile(self):
        targets = re.findall(r'^FROM \S+ AS (\S+)$', (PROJECT / 'docker/Dockerfile').read_text(), re.M)
        manifests = self.manifests
        for deployment in manifests.ours():
            image = container(deployment)['image'].rpartition(':')[0].rpartition('/')[2]
            self.assertIn(image.removeprefix('leasehold-'), targets)
            self.assertEqual(image, f'leasehold-{component(deployment)}')

    def test_ports_are_those_that_the_daemons_listen_on(self):
        manifests, config = self.manifests, self.config
        for deployment in manifests.ours():
            ports = {port['name']: port['containerPort'] for port in container(deployment)['ports']}
            if component(deployment) == 'gateway':
                listens = {name: config['gateway'][f'{name}_listen'] for name in ('grpc', 'sql', 'http')}
            else:
                listens = {'http': environment(deployment)['LEASEHOLD_PROVISIONER_HTTP']}
            self.assertEqual({name: f'0.0.0.0:{port}' for name, port in ports.items()}, listens)
            for probe in ('startupProbe', 'readinessProbe', 'livenessProbe'):
                (kind, asked), = ((k, v) for k, v in container(deployment)[probe].items() if k in ('grpc', 'httpGet'))
                if kind == 'grpc':
                    self.assertEqual(asked['port'], ports['grpc'])
                    self.assertIn(f'kServing[] = "{asked["service"]}"', (PROJECT / 'services/gateway/rpc_server.cc').read_text())
                else:
                    self.assertIn(asked['port'], ports)
                    self.assertIn(asked['path'], ('/livez', '/readyz', '/servingz'))
                    self.assertEqual(asked.get('scheme', 'HTTP'), 'HTTP' if self.overlay in INSECURE else 'HTTPS')
        workloads = manifests.of('Deployment', 'StatefulSet')
        for service in manifests.of('Service'):
            behind = [w for w in workloads if service['spec']['selector'].items() <= labels_of(w).items()]
            self.assertTrue(behind, service['metadata']['name'])
            for port, workload in ((p, w) for p in service['spec']['ports'] for w in behind):
                self.assertIn(port['targetPort'], [p['name'] for p in container(workload)['ports']])

    def test_no_probe_of_a_gateway_depends_on_what_all_gateways_share(self):
        probes = container(self.manifests.named('Deployment', 'gateway'))
        for probe, paths in (('startupProbe', ['/livez']), ('livenessProbe', ['/livez']), ('readinessProbe', ['/servingz', None])):
            self.assertIn(probes[probe].get('httpGet', {}).get('path'), paths, probe)

    def test_a_service_of_any_name_changes_no_setting(self):
        # Kubernetes would make variables of each Service: of one named `db` DB_PORT, which the daemons take for a port.
        for deployment in self.manifests.ours():
            self.assertIs(deployment['spec']['template']['spec']['enableServiceLinks'], False, deployment['metadata']['name'])

    def test_a_busy_node_restarts_nothing(self):
        for deployment in self.manifests.ours():
            probe = container(deployment)['livenessProbe']
            self.assertGreaterEqual(probe['timeoutSeconds'], 5)
            self.assertGreaterEqual(probe['periodSeconds'] * probe['failureThreshold'], 60)

    def test_every_pod_is_one_that_the_namespace_admits(self):
        namespace = self.manifests.named('Namespace', 'leasehold')
        self.assertEqual(namespace['metadata']['labels']['pod-security.kubernetes.io/enforce'], 'restricted')
        workloads = self.manifests.of('Deployment', 'StatefulSet')
        self.assertTrue(workloads)
        for workload in workloads:
            self.assertEqual(not_restricted(workload['spec']['template']['spec']), [], workload['metadata']['name'])

    def test_addresses_in_the_configuration_exist(self):
        manifests, config = self.manifests, self.config
        known = {s['metadata']['name'] for s in manifests.of('Service')}
        known |= {f"{c['metadata']['name']}-rw" for c in manifests.of('Cluster')}
        self.assertIn(config['gateway']['sql_advertise'], {f'{name}.leasehold.svc:7432' for name in known})
        self.assertIn(config['provisioner']['gateway'], {f'{name}.leasehold.svc:7450' for name in known})
        hosts = [service['instance']['host'] for service in config['services']]
        hosts.append(re.search('@([^:/]+)', config['registry']['dsn'])[1])
        for host in hosts:
            # Those outside a cluster have full names.
            self.assertTrue(host in known or host.endswith('.postgres.example.net'), host)

    def test_a_pod_lives_for_as_long_as_its_drain(self):
        manifests, config = self.manifests, self.config
        drain = seconds(config['gateway'].get('drain_timeout', DEFAULTS['drain_timeout']))
        for deployment in manifests.ours():
            grace = deployment['spec']['template']['spec']['terminationGracePeriodSeconds']
            if component(deployment) == 'gateway':
                pause = container(deployment)['lifecycle']['preStop']['sleep']['seconds']
                self.assertGreaterEqual(grace, pause + drain + GATEWAY_AFTER_DRAIN)
            else:
                self.assertGreater(grace, PROVISIONER_STOP)

    def test_instances_have_connections_for_all(self):
        manifests, config = self.manifests, self.config
        scalers = manifests.of('HorizontalPodAutoscaler')
        gateways = scalers[0]['spec']['maxReplicas'] if scalers else manifests.named('Deployment', 'gateway')['spec']['replicas']
        # While it is rolled out, a Deployment has one pod more.
        gateways += manifests.named('Deployment', 'gateway')['spec']['strategy']['rollingUpdate']['maxSurge']
        workers = 3 * (config['provisioner'].get('parallelism', DEFAULTS['parallelism']) + 2) + 4
        for service, entry in zip(services_of(config), config['services']):
            cap = entry['instance'].get('max_connections', DEFAULTS['max_connections'])
            provisioners = manifests.named('Deployment', f'provisioner-{service}')['spec']['replicas'] + 1
            for instance in manifests.of('StatefulSet', 'Cluster'):
                if labels_of(instance).get('leasehold.dev/service') != service:
                    continue
                limit = (instance['spec']['postgresql']['parameters']['max_connections'] if instance['kind'] == 'Cluster'
                         else re.search(r'max_connections=(\d+)', ' '.join(container(instance)['args']))[1])
                self.assertGreaterEqual(int(limit), gateways * cap + provisioners * workers + RESERVED)

    def test_a_provisioner_reaches_its_own_instance_only(self):
        manifests, config = self.manifests, self.config
        gateway = labels_of(manifests.named('Deployment', 'gateway'))
        names = {'grpc': 7450, 'sql': 7432, 'http': 7480}
        instances = {labels_of(i)['leasehold.dev/service']: labels_of(i) for i in manifests.of('StatefulSet', 'Cluster')
                     if labels_of(i).get('app.kubernetes.io/component') == 'instance'}
        if not instances:
            blocks = {p['metadata']['name'].rpartition('-')[2]: p['spec']['egress'][0]['to'][0]['ipBlock']['cidr']
                      for p in manifests.of('NetworkPolicy') if p['metadata']['name'].startswith('provisioner-instance-')}
            instances = {service: ipaddress.ip_network(block)[1] for service, block in blocks.items()}
        self.assertLessEqual(set(services_of(config)), set(instances))
        for service in services_of(config):
            own = labels_of(manifests.named('Deployment', f'provisioner-{service}'))
            for other, target in instances.items():
                self.assertEqual(reaches(manifests, own, target, 5432), other == service, (service, other))
            self.assertTrue(reaches(manifests, own, gateway, 7450, names))
            self.assertFalse(reaches(manifests, own, gateway, 7432, names))
            self.assertTrue(reaches(manifests, own, {'app.kubernetes.io/name': 'nats'}, 4222))
            self.assertFalse(reaches(manifests, own, ipaddress.ip_address('192.0.2.1'), 5432))
        for target in instances.values():
            self.assertTrue(reaches(manifests, gateway, target, 5432))
            if isinstance(target, dict):
                self.assertFalse(reaches(manifests, {'app': 'stranger'}, target, 5432))
        self.assertFalse(reaches(manifests, {'app': 'stranger'}, gateway, 7432, names))
        nats = {'app.kubernetes.io/name': 'nats'}
        self.assertTrue(reaches(manifests, gateway, nats, 4222))
        self.assertTrue(reaches(manifests, nats, nats, 6222))
        self.assertFalse(reaches(manifests, {'app': 'stranger'}, nats, 4222))

    def test_metrics_are_documented(self):
        documented = set(re.findall(r'leasehold_\w+', (PROJECT / 'docs/metrics.md').read_text()))
        manifests, seen = self.manifests, set()
        for rule in manifests.of('PrometheusRule'):
            for alert in (alert for group in rule['spec']['groups'] for alert in group['rules']):
                seen |= set(re.findall(r'leasehold_\w+', alert['expr']))
        for scaler in manifests.of('HorizontalPodAutoscaler'):
            seen |= {metric['pods']['metric']['name'] for metric in scaler['spec']['metrics']}
        self.assertEqual(len(seen) > 5, bool(manifests.of('PrometheusRule')))
        dashboards = [c for c in manifests.of('ConfigMap') if 'leasehold.json' in c.get('data', {})]
        self.assertEqual([c['metadata']['labels'].get('grafana_dashboard') for c in dashboards],
                         ['1'] * len(manifests.of('PrometheusRule')))
        self.assertLessEqual(seen, documented)

    def test_instances_are_given_secrets_that_exist(self):
        for instance in self.manifests.of('StatefulSet'):
            if labels_of(instance).get('app.kubernetes.io/component') != 'instance':
                continue
            volumes = {volume['name']: volume for volume in instance['spec']['template']['spec']['volumes']}
            given = [source['secret'] for source in volumes['secrets']['projected']['sources']]
            self.assertEqual([item['path'] for secret in given for item in secret['items']], ['login', 'superuser'])
            for secret in given:
                for item in secret['items']:
                    self.assertIn(item['key'], self.manifests.secrets[secret['name']])

    def test_our_containers_are_confined(self):
        manifests = self.manifests
        for deployment in manifests.ours():
            self.assertTrue(container(deployment)['securityContext']['readOnlyRootFilesystem'])
            self.assertEqual(container(deployment)['securityContext']['capabilities'], {'drop': ['ALL']})
            self.assertTrue(deployment['spec']['template']['spec']['securityContext']['runAsNonRoot'])


class Encrypted:
    """What holds of overlays with TLS besides."""

    def dns_names(self, certificate):
        return self.manifests.named('Certificate', certificate)['spec']['dnsNames']

    def test_a_daemon_does_not_start_without_its_certificate(self):
        for name, port in (('gateway', 'grpc'), ('gateway', 'sql'), ('gateway', 'http'), ('provisioner-core', 'http')):
            manifests = copy.deepcopy(self.manifests)
            data = next(data for data in manifests.configs.values() if 'leasehold.yaml' in data)
            data['leasehold.yaml'] = re.sub(f'  ({port}_(certificate|key|client_ca)_file|sql_tls): .*\n', '', data['leasehold.yaml'])
            self.assertRegex(check_config(manifests, manifests.named('Deployment', name)),
                             f'{port}_listen is .*has no TLS .*{port}_certificate_file')

    def test_a_file_that_cannot_be_used_is_named(self):
        ca = 'instances-ca' if self.overlay == 'production' else None
        for name, files, file, field in (('gateway', 'gateway-tls', 'tls.crt', 'gateway.grpc_certificate_file'),
                                         ('gateway', 'policy', 'policy.yaml', 'gateway.policy_file'),
                                         ('gateway', ca or 'gateway-tls', 'ca.crt', 'ca_file'),
                                         ('provisioner-core', 'provisioner-tls-core', 'tls.key', 'key_file'),
                                         ('provisioner-core', ca or 'provisioner-tls-core', 'ca.crt', 'ca_file')):
            manifests = copy.deepcopy(self.manifests)
            (manifests.configs if files in manifests.configs else manifests.secrets)[files][file] = 'rules: 1'
            self.assertRegex(check_config(manifests, manifests.named('Deployment', name)), f'{field} is ', (name, files))

    def test_certificates_name_what_is_reached(self):
        config = self.config
        gateway, nats = self.dns_names('gateway'), self.dns_names('nats')
        self.assertIn(config['provisioner']['gateway'].partition(':')[0], gateway)
        self.assertIn(config['gateway']['sql_advertise'].partition(':')[0], gateway)
        self.assertEqual(config['nats']['url'], f'tls://{nats[0]}:4222')
        for cluster in self.manifests.of('Cluster'):
            name = cluster['metadata']['name']
            self.assertEqual(self.dns_names(name), [f'{name}-rw'])
            secret = self.manifests.named('Certificate', name)['spec']['secretName']
            self.assertEqual(cluster['spec']['certificates'], {'serverCASecret': secret, 'serverTLSSecret': secret})
        for monitor in self.manifests.of('ServiceMonitor'):
            endpoint, = monitor['spec']['endpoints']
            name = monitor['metadata']['name']
            self.assertEqual((endpoint['scheme'], endpoint['tlsConfig']['serverName']), ('https', f'{name}.leasehold.svc'))
            for part in ('ca', 'cert'):
                self.assertEqual(endpoint['tlsConfig'][part]['secret']['name'], 'scraper-tls')
        for service in services_of(config):
            self.assertIn('provisioners.leasehold.svc', self.dns_names(f'provisioner-{service}'))
        self.assertIn('gateway.leasehold.svc', gateway)

    def test_nothing_is_dialled_in_clear(self):
        for entry in self.config['services']:
            self.assertEqual(entry['instance']['sslmode'], 'verify-full')
        self.assertIn('sslmode=verify-full', self.config['registry']['dsn'])
        self.assertEqual(self.config['gateway']['sql_tls'], 'required')

    def test_a_provisioner_may_speak_for_its_own_service_only(self):
        with tempfile.TemporaryDirectory() as folder:
            policy = f'{folder}/policy.yaml'
            pathlib.Path(policy).write_text(self.manifests.configs['policy']['policy.yaml'])
            for service in services_of(self.config):
                principal = f"dns:{self.dns_names(f'provisioner-{service}')[0]}"
                for other in services_of(self.config):
                    self.assertEqual(policy_allows(policy, principal, 'provisioner.report', other), service == other)
                self.assertFalse(policy_allows(policy, principal, 'lease.acquire', service))
            operator = f"dns:{self.dns_names('operator')[0]}"
            self.assertTrue(policy_allows(policy, operator, 'migration.start', 'core'))
            for nobody in ('anonymous', f"dns:{self.dns_names('scraper')[0]}"):
                self.assertFalse(policy_allows(policy, nobody, 'migration.start', 'core'))


for name in OVERLAYS:
    globals()[f'Overlay_{name}'] = type(
        f'Overlay_{name}', (Overlay, *([] if name in INSECURE else [Encrypted]), unittest.TestCase), {'overlay': name})


class NatsOfTheChart(unittest.TestCase):
    def test_is_admitted_by_the_namespace(self):
        values = yaml.safe_load((PROJECT / 'k8s/overlays/production/nats-values.yaml').read_text())
        # The chart's pods: it merges these into their templates.
        for template, containers in ((values, ('container', 'reloader')), (values['natsBox'], ('container',))):
            spec = {**template['podTemplate']['merge']['spec'],
                    'containers': [{'name': name, **template[name]['merge']} for name in containers]}
            self.assertEqual(not_restricted(spec), [])


class OneMoreService(unittest.TestCase):
    def test_is_a_folder_with_one_file(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder)
            for name in ('k8s', 'docker', 'examples'):
                shutil.copytree(PROJECT / name, tree / name)
            for overlay in OVERLAYS:
                at = tree / 'k8s/overlays' / overlay
                (at / 'payroll').mkdir()
                file = (at / 'core/kustomization.yaml').read_text()
                (at / 'payroll/kustomization.yaml').write_text(file.replace('core', 'payroll').replace('migrations/payroll', 'migrations/core'))
                for path, line, more in ((at / 'kustomization.yaml', '  - core\n', '  - payroll\n'),
                                         (at / 'leasehold.yaml', 'services:\n', '')):
                    text = path.read_text()
                    self.assertIn(line, text)
                    if more:
                        path.write_text(text.replace(line, line + more))
                        continue
                    config = yaml.safe_load(text)
                    entry = yaml.safe_load(yaml.safe_dump(config['services'][-1]).replace('core', 'payroll'))
                    path.write_text(yaml.safe_dump({**config, 'services': [*config['services'], entry]}))
                manifests, _ = render(overlay, tree)
                for name in ('gateway', 'provisioner-payroll'):
                    self.assertEqual(check_config(manifests, manifests.named('Deployment', name)), '', (overlay, name))


if __name__ == '__main__':
    if not shutil.which('kubectl'):
        print('SKIPPED: there is no kubectl here')
        sys.exit(77)
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--binaries', required=True)
    flags, rest = parser.parse_known_args()
    BINARIES = pathlib.Path(flags.binaries).resolve()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
