#include "common/tls/credentials.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <fstream>
#include <utility>

#include "common/status/error.h"
#include "common/status/view.h"
#include "common/tls/handles.h"

namespace leasehold::tls {
namespace {

// The bundles of all public CAs have a quarter of it.
constexpr size_t kMaxPemBytes = 1024 * 1024;

absl::Status Bad(const File& file, std::string_view allowed, std::string_view why) {
  return InvalidField(file.field, file.path, why.empty() ? std::string(allowed) : std::format("{} ({})", allowed, why));
}

absl::StatusOr<std::string> ReadPem(const File& file, std::string_view allowed) {
  errno = 0;
  std::ifstream stream(file.path, std::ios::binary);
  std::string text(kMaxPemBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad() || (stream.gcount() == 0 && errno != 0)) {
    return Bad(file, allowed, strerror(errno));
  }
  text.resize(static_cast<size_t>(stream.gcount()));
  if (text.size() > kMaxPemBytes) return Bad(file, allowed, "it is longer than 1 MiB");
  return text;
}

std::vector<CertificatePtr> ParseCertificates(const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<CertificatePtr> certificates;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate);
  }
  // The end of the text is no error; anything else is.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) certificates.clear();
  return certificates;
}

absl::Time ToTime(const ASN1_TIME* time) {
  tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return absl::InfinitePast();
  return absl::FromTM(fields, absl::UTCTimeZone());
}

std::string Day(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone()); }

absl::Status CheckValid(const File& file, const X509& certificate, absl::Time now) {
  const absl::Time begin = ToTime(X509_get0_notBefore(&certificate));
  const absl::Time end = ToTime(X509_get0_notAfter(&certificate));
  if (now < begin) return Bad(file, "a certificate that is valid now", std::format("it is from {} on", Day(begin)));
  if (now > end) return Bad(file, "a certificate that is valid now", std::format("it expired {}", Day(end)));
  return absl::OkStatus();
}

int NoPassphrase(char*, int, int, void*) { return -1; }

}  // namespace

absl::StatusOr<std::shared_ptr<const Credentials>> Credentials::Read(const Options& options, absl::Time now) {
  ERR_clear_error();
  std::shared_ptr<Credentials> credentials(new Credentials());
  credentials->context_ = SSL_CTX_new(options.role == Role::kServer ? TLS_server_method() : TLS_client_method());
  if (credentials->context_ == nullptr) return absl::ResourceExhaustedError("OpenSSL makes no context");
  SSL_CTX* context = credentials->context_;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Without it a server that asks for client certificates refuses to resume sessions.
  static constexpr unsigned char kSessionId[] = "leasehold";
  SSL_CTX_set_session_id_context(context, kSessionId, sizeof(kSessionId) - 1);
  if (!options.certificate.path.empty()) LH_RETURN_IF_ERROR(credentials->ReadIdentity(options, now));
  if (!options.ca.path.empty()) {
    LH_RETURN_IF_ERROR(credentials->ReadCa(options.ca, now));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (options.prepare) options.prepare(context);
  return credentials;
}

Credentials::~Credentials() { SSL_CTX_free(context_); }

absl::Status Credentials::ReadIdentity(const Options& options, absl::Time now) {
  static constexpr std::string_view kChain = "a readable PEM file of certificates";
  static constexpr std::string_view kKey = "a readable PEM file with a private key, without a passphrase";
  LH_ASSIGN_OR_RETURN(certificate_pem_, ReadPem(options.certificate, kChain));
  const std::vector<CertificatePtr> chain = ParseCertificates(certificate_pem_);
  if (chain.empty()) return Bad(options.certificate, kChain, "");
  LH_RETURN_IF_ERROR(CheckValid(options.certificate, *chain.front(), now));
  expiry_ = ToTime(X509_get0_notAfter(chain.front().get()));

  absl::StatusOr<Secret> key_text = ReadSecretFile(options.key.path);
  if (!key_text.ok()) return Bad(options.key, kKey, StdView(key_text.status().message()));
  key_pem_ = *std::move(key_text);
  const std::string_view pem = key_pem_.reveal();
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const PrivateKeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) return Bad(options.key, kKey, "");
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return Bad(options.key, std::format("the key of the certificate in {}", options.certificate.path), "");
  }
  bool used =
      SSL_CTX_use_certificate(context_, chain.front().get()) == 1 && SSL_CTX_use_PrivateKey(context_, key.get()) == 1;
  for (size_t i = 1; used && i < chain.size(); ++i) used = SSL_CTX_add1_chain_cert(context_, chain[i].get()) == 1;
  // Keys that are too short, say.
  if (!used) return Bad(options.certificate, "a certificate and key that OpenSSL accepts", LastError());
  return absl::OkStatus();
}

absl::Status Credentials::ReadCa(const File& file, absl::Time now) {
  static constexpr std::string_view kCas = "a readable PEM file of the certificates of CAs";
  LH_ASSIGN_OR_RETURN(ca_pem_, ReadPem(file, kCas));
  const std::vector<CertificatePtr> cas = ParseCertificates(ca_pem_);
  if (cas.empty()) return Bad(file, kCas, "");
  absl::Time last = absl::InfinitePast();
  X509_STORE* store = SSL_CTX_get_cert_store(context_);
  for (const CertificatePtr& ca : cas) {
    last = std::max(last, ToTime(X509_get0_notAfter(ca.get())));
    X509_STORE_add_cert(store, ca.get());
    SSL_CTX_add_client_CA(context_, ca.get());  // which certificates a client is asked for
  }
  ERR_clear_error();
  if (now > last) return Bad(file, "CAs of which one is valid now", std::format("the last expired {}", Day(last)));
  if (certificate_pem_.empty()) expiry_ = last;
  return absl::OkStatus();
}

void ExpectHost(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* expected = SSL_get0_param(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str()) == 1) return;
  ERR_clear_error();
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // Never fails for want of a name: an empty one would be taken for no expectation.
  X509_VERIFY_PARAM_set1_host(expected, host.empty() ? "invalid." : host.c_str(), 0);
}

void AskForHost(SSL* ssl, const std::string& host) {
  const std::unique_ptr<ASN1_OCTET_STRING, Free<ASN1_OCTET_STRING_free>> address(a2i_IPADDRESS(host.c_str()));
  ERR_clear_error();
  if (address == nullptr && !host.empty()) SSL_set_tlsext_host_name(ssl, host.c_str());
}

std::string LastError() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return reason == nullptr ? "the peer hung up" : reason;
}

}  // namespace leasehold::tls
