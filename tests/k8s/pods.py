"""What a cluster would make of rendered manifests, as far as files, ports and reach go."""
import ipaddress
import os
import pathlib


class Manifests:
    """One overlay, rendered, with the Secrets that k8s/secrets makes."""

    def __init__(self, resources, secrets):
        self.resources = resources
        self.secrets = {secret['metadata']['name']: secret['stringData'] for secret in secrets}
        self.configs = {r['metadata']['name']: r['data'] for r in self.of('ConfigMap')}

    def of(self, *kinds):
        return [r for r in self.resources if r['kind'] in kinds]

    def named(self, kind, name):
        found = [r for r in self.of(kind) if r['metadata']['name'] == name]
        assert len(found) == 1, f'{kind} {name}: {len(found)}'
        return found[0]

    def ours(self):
        return [d for d in self.of('Deployment') if component(d) in ('gateway', 'provisioner')]

    def lay_out(self, workload, root):
        """The files of its volumes, below `root`, as the container would see them."""
        for mount in container(workload)['volumeMounts']:
            pathlib.Path(f'{root}{mount["mountPath"]}').mkdir(parents=True)
        for path, text in self.files(workload).items():
            pathlib.Path(f'{root}{path}').write_text(text)

    def files(self, workload):
        """{absolute path: text}"""
        volumes = {volume['name']: volume for volume in workload['spec']['template']['spec']['volumes']}
        return {f'{mount["mountPath"]}/{name}': text for mount in container(workload)['volumeMounts']
                for name, text in self.content(workload, volumes[mount['name']]).items()}

    def content(self, workload, volume):
        where = f"{workload['metadata']['name']}: volume {volume['name']}"
        if 'configMap' in volume:
            source, known = volume['configMap'], self.configs.get(volume['configMap']['name'])
        elif 'secret' in volume:
            source, known = volume['secret'], self.secrets.get(volume['secret']['secretName'])
        else:
            if claim := volume.get('persistentVolumeClaim'):
                self.named('PersistentVolumeClaim', claim['claimName'])
            return {}
        if known is None:
            assert source.get('optional'), f'{where}: nobody makes {source}'
            return {}
        if 'items' not in source:
            return known
        return {item['path']: known[item['key']] for item in source['items']}


def component(workload):
    return workload['metadata'].get('labels', {}).get('app.kubernetes.io/component', '')


def labels_of(workload):
    if workload['kind'] == 'Cluster':
        return workload['spec']['inheritedMetadata']['labels']
    return workload['spec']['template']['metadata']['labels']


def container(workload):
    return workload['spec']['template']['spec']['containers'][0]


def environment(workload):
    known = {}
    for variable in container(workload).get('env', []):
        if 'value' in variable:
            known[variable['name']] = variable['value']
            continue
        path = variable['valueFrom']['fieldRef']['fieldPath']
        known[variable['name']] = labels_of(workload)[path.removeprefix("metadata.labels['").removesuffix("']")]
    return {**os.environ, **known}


def selects(selector, labels):
    for expression in selector.get('matchExpressions', []):
        assert expression['operator'] == 'In', expression
        if labels.get(expression['key']) not in expression['values']:
            return False
    return selector.get('matchLabels', {}).items() <= labels.items()


def allows(rules, side, peer, port, ports_by_name):
    """Whether one rule names `peer` (labels of a pod of this namespace, or an address) on `port`."""
    for rule in rules:
        if not any(ports_by_name.get(p['port'], p['port']) == port for p in rule['ports']):
            continue
        for entry in rule[side]:
            if isinstance(peer, dict):
                if 'podSelector' in entry and 'namespaceSelector' not in entry and selects(entry['podSelector'], peer):
                    return True
            elif 'ipBlock' in entry and peer in ipaddress.ip_network(entry['ipBlock']['cidr']):
                return True
    return False


def reaches(manifests, source, target, port, ports_by_name=None):
    """Whether the network policies let pods with labels `source` connect to `target`, labels or an address."""
    for side, direction, pod, peer in (('to', 'Egress', source, target), ('from', 'Ingress', target, source)):
        if not isinstance(pod, dict):
            continue
        policies = [p['spec'] for p in manifests.of('NetworkPolicy')
                    if direction in p['spec']['policyTypes'] and selects(p['spec']['podSelector'], pod)]
        rules = [rule for policy in policies for rule in policy.get(direction.lower(), [])]
        if policies and not allows(rules, side, peer, port, ports_by_name or {}):
            return False
    return True


def not_restricted(pod):
    """What of a pod's spec Kubernetes' Pod Security Standard `restricted` refuses."""
    said = [f'{field} is set' for field in ('hostNetwork', 'hostPID', 'hostIPC') if pod.get(field)]
    of_pod = pod.get('securityContext', {})
    allowed = {'configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret'}
    said += [f"volume {v['name']} is no {sorted(allowed)}" for v in pod.get('volumes', []) if not allowed & set(v)]
    for one in [*pod['containers'], *pod.get('initContainers', [])]:
        own = one.get('securityContext', {})
        both = {**of_pod, **own}
        for name, good in (('runAsNonRoot', both.get('runAsNonRoot') is True), ('runAsUser', both.get('runAsUser') != 0),
                           ('seccompProfile', both.get('seccompProfile', {}).get('type') in ('RuntimeDefault', 'Localhost')),
                           ('allowPrivilegeEscalation', own.get('allowPrivilegeEscalation') is False),
                           ('privileged', not own.get('privileged')),
                           ('capabilities', 'ALL' in own.get('capabilities', {}).get('drop', []) and
                            set(own.get('capabilities', {}).get('add', [])) <= {'NET_BIND_SERVICE'})):
            if not good:
                said.append(f"container {one['name']}: {name}")
    return said
