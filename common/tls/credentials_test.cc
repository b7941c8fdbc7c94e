#include "common/tls/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include "common/status/error.h"
#include "common/tls/handles.h"
#include "common/tls/testing_certificates.h"

namespace leasehold::tls {
namespace {

using ::testing::HasSubstr;

class CredentialsTest : public testing::Test {
 protected:
  absl::Status StatusOf(const Options& options) { return Credentials::Read(options, absl::Now()).status(); }
  void ExpectRefused(const Options& options, std::string_view field, std::string_view why) {
    const absl::Status status = StatusOf(options);
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD) << status;
    EXPECT_THAT(std::string(status.message()), testing::StartsWith(std::string(field) + " is '"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(why)));
  }

  // Both ends in one thread; returns the server's and the client's words of failure, "" for none.
  std::pair<std::string, std::string> Shake(const Options& server, const Options& client, const std::string& host) {
    const auto serving = Credentials::Read(server, absl::Now());
    const auto calling = Credentials::Read(client, absl::Now());
    EXPECT_TRUE(serving.ok() && calling.ok()) << serving.status() << calling.status();
    const SslPtr a(SSL_new((*serving)->context()));
    const SslPtr b(SSL_new((*calling)->context()));
    BIO *here = nullptr, *there = nullptr;
    BIO_new_bio_pair(&here, 0, &there, 0);
    SSL_set_bio(a.get(), here, here);
    SSL_set_bio(b.get(), there, there);
    SSL_set_accept_state(a.get());
    SSL_set_connect_state(b.get());
    if (!host.empty()) ExpectHost(b.get(), host);
    std::string a_error, b_error;
    for (int turn = 0; turn < 20; ++turn) {
      Step(b.get(), b_error);
      Step(a.get(), a_error);
    }
    return {a_error, b_error};
  }

  TestCertificates certificates_;

 private:
  // The client hears of a refusal of its certificate only when it reads.
  static void Step(SSL* ssl, std::string& error) {
    if (!error.empty()) return;
    char byte = 0;
    const int done = SSL_is_init_finished(ssl) ? SSL_read(ssl, &byte, 1) : SSL_do_handshake(ssl);
    if (done == 1) return;
    const int why = SSL_get_error(ssl, done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) error = LastError();
  }
};

TEST_F(CredentialsTest, NothingIsNothing) {
  const auto none = Credentials::Read({.role = Role::kClient}, absl::Now());
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ((*none)->expiry(), absl::InfiniteFuture());
  EXPECT_EQ((*none)->certificate_pem(), "");
}

TEST_F(CredentialsTest, HasWhatTheFilesHave) {
  const absl::Time end = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now() + absl::Hours(5)));
  const auto files = certificates_.Make("server", {.end = end});
  const auto read =
      Credentials::Read(TestCertificates::OptionsOf(Role::kServer, files, certificates_.ca()), absl::Now());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)->expiry(), end);
  EXPECT_THAT((*read)->certificate_pem(), testing::StartsWith("-----BEGIN CERTIFICATE-----"));
  EXPECT_THAT(std::string((*read)->key_pem().reveal()), testing::StartsWith("-----BEGIN PRIVATE KEY-----"));
  EXPECT_THAT((*read)->ca_pem(), testing::StartsWith("-----BEGIN CERTIFICATE-----"));
}

TEST_F(CredentialsTest, FilesThatCannotBeUsed) {
  const auto good = certificates_.Make("good");
  const auto other = certificates_.Make("other");
  const std::string junk = certificates_.Write("junk", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n");
  const auto with = [](const std::string& certificate, const std::string& key) {
    return TestCertificates::OptionsOf(Role::kServer, {.certificate = certificate, .key = key});
  };
  ExpectRefused(with("/nowhere", good.key), "certificate_file", "No such file");
  ExpectRefused(with(certificates_.Write("empty", ""), good.key), "certificate_file", "PEM file of certificates");
  ExpectRefused(with(junk, good.key), "certificate_file", "PEM file of certificates");
  ExpectRefused(with(good.key, good.key), "certificate_file", "PEM file of certificates");
  ExpectRefused(with("/", good.key), "certificate_file", "directory");
  ExpectRefused(with(certificates_.Write("long", std::string(1024 * 1024 + 1, 'x')), good.key), "certificate_file",
                "longer than 1 MiB");
  ExpectRefused(with(good.certificate, "/nowhere"), "key_file", "No such file");
  ExpectRefused(with(good.certificate, junk), "key_file", "with a private key, without a passphrase");
  ExpectRefused(with(good.certificate, other.key), "key_file", "the key of the certificate in " + good.certificate);
  ExpectRefused({.ca = {.field = "ca_file", .path = junk}}, "ca_file", "of the certificates of CAs");
  ExpectRefused({.ca = {.field = "ca_file", .path = "/nowhere"}}, "ca_file", "No such file");
}

TEST_F(CredentialsTest, AKeyWithAPassphraseIsRefusedWithoutAsking) {
  const auto good = certificates_.Make("good");
  const std::string locked = certificates_.Write(
      "locked",
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
      "MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBAAAAAAAAAAAAAAAAAAAAAAAgIIADAMBggqhkiG9w0CCQUAMB0GCWCG\n"
      "SAFlAwQBKgQQAAAAAAAAAAAAAAAAAAAAAARAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
      "AAAAAAAAAAAAAAAAAAAAAA==\n-----END ENCRYPTED PRIVATE KEY-----\n");
  ExpectRefused(TestCertificates::OptionsOf(Role::kServer, {.certificate = good.certificate, .key = locked}),
                "key_file", "without a passphrase");
}

TEST_F(CredentialsTest, OnlyInItsTime) {
  const absl::Time now = absl::Now();
  const auto past = certificates_.Make("past", {.begin = now - absl::Hours(2), .end = now - absl::Hours(1)});
  const auto future = certificates_.Make("future", {.begin = now + absl::Hours(1), .end = now + absl::Hours(2)});
  ExpectRefused(TestCertificates::OptionsOf(Role::kServer, past), "certificate_file", "it expired 20");
  ExpectRefused(TestCertificates::OptionsOf(Role::kServer, future), "certificate_file", "it is from 20");
  const auto later = Credentials::Read({.ca = {.field = "ca_file", .path = certificates_.ca()}}, now + absl::Hours(49));
  EXPECT_THAT(std::string(later.status().message()), HasSubstr("CAs of which one is valid now (the last expired 20"));
}

TEST_F(CredentialsTest, BothSidesKnowEachOther) {
  const auto server = TestCertificates::OptionsOf(Role::kServer, certificates_.Make("server"), certificates_.ca());
  const auto client = TestCertificates::OptionsOf(Role::kClient, certificates_.Make("client"), certificates_.ca());
  EXPECT_EQ(Shake(server, client, "localhost"), std::pair("", ""));
  EXPECT_EQ(Shake(server, client, "127.0.0.1"), std::pair("", ""));
  EXPECT_EQ(Shake(server, client, ""), std::pair("", "")) << "verify-ca";
}

TEST_F(CredentialsTest, AStrangersCaIsNotBelieved) {
  TestCertificates strange("strange CA");
  const auto server = TestCertificates::OptionsOf(Role::kServer, certificates_.Make("server"), certificates_.ca());
  const auto client = TestCertificates::OptionsOf(Role::kClient, strange.Make("client"), certificates_.ca());
  EXPECT_THAT(Shake(server, client, "localhost").first, HasSubstr("certificate verify failed"));
  const auto impostor = TestCertificates::OptionsOf(Role::kServer, strange.Make("server"));
  const auto caller = TestCertificates::OptionsOf(Role::kClient, {}, certificates_.ca());
  EXPECT_THAT(Shake(impostor, caller, "localhost").second, HasSubstr("certificate verify failed"));
}

TEST_F(CredentialsTest, TheNameCounts) {
  const auto server = TestCertificates::OptionsOf(
      Role::kServer, certificates_.Make("server", {.hosts = {"db.example", "*.wild.example", "10.0.0.1"}}));
  const auto client = TestCertificates::OptionsOf(Role::kClient, {}, certificates_.ca());
  EXPECT_EQ(Shake(server, client, "db.example").second, "");
  EXPECT_EQ(Shake(server, client, "a.wild.example").second, "");
  EXPECT_EQ(Shake(server, client, "10.0.0.1").second, "");
  for (const char* other : {"localhost", "10.0.0.2", "a.b.wild.example", "server", "db.example.evil"}) {
    EXPECT_THAT(Shake(server, client, other).second, HasSubstr("certificate verify failed")) << other;
  }
}

TEST_F(CredentialsTest, OldProtocolsAreNotSpoken) {
  const auto server = TestCertificates::OptionsOf(Role::kServer, certificates_.Make("server"));
  const Options old{.role = Role::kClient, .prepare = [](SSL_CTX* context) {
                      SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
                      SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
                      SSL_CTX_set_security_level(context, 0);
                    }};
  EXPECT_NE(Shake(server, old, "").second, "");
}

}  // namespace
}  // namespace leasehold::tls
