"""What cert-manager would make of an overlay's Certificates: Secrets with tls.crt, tls.key and ca.crt."""
import pathlib
import subprocess
import tempfile

USAGES = {'digital signature': None, 'server auth': 'serverAuth', 'client auth': 'clientAuth'}


def openssl(folder, *arguments):
    subprocess.run(['openssl', *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def key(folder, name):
    openssl(folder, 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', name)


def issued(certificates):
    """{name of the Secret: its files}, of one CA."""
    with tempfile.TemporaryDirectory() as folder:
        key(folder, 'ca.key')
        openssl(folder, 'req', '-x509', '-new', '-key', 'ca.key', '-subj', '/CN=issuer', '-days', '2', '-out', 'ca.crt')
        read = lambda name: pathlib.Path(folder, name).read_text()  # noqa: E731
        secrets = {}
        for spec in (certificate['spec'] for certificate in certificates if not certificate['spec'].get('isCA')):
            usages = ','.join(usage for usage in map(USAGES.__getitem__, spec['usages']) if usage)
            pathlib.Path(folder, 'extensions').write_text(
                f"subjectAltName = {','.join(f'DNS:{name}' for name in spec['dnsNames'])}\nextendedKeyUsage = {usages}\n"
                'basicConstraints = critical, CA:FALSE\n')
            key(folder, 'tls.key')
            openssl(folder, 'req', '-new', '-key', 'tls.key', '-subj', '/', '-out', 'request')
            openssl(folder, 'x509', '-req', '-in', 'request', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '1',
                    '-extfile', 'extensions', '-out', 'tls.crt')
            secrets[spec['secretName']] = {name: read(name) for name in ('tls.crt', 'tls.key', 'ca.crt')}
        return secrets
