// Entries of the bucket `leases`, each a key on a line, the length of the value in two bytes, and the value: what a
// book makes of them. Nothing that it holds afterwards is more than the entries say.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "services/gateway/lease/book.h"
#include "services/gateway/lease/bucket_entry.h"
#include "services/gateway/lease/claims.h"

namespace {

using namespace leasehold;
using namespace leasehold::gateway;

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckRecord(const v1::LeaseRecord& record) {
  Require(CheckClaims(record.claims()).ok() && LeaseId::FromBytes(record.claims().id()).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  FakeClock clock;
  LeaseWatchers watchers;
  LeaseOutbox outbox;
  LeaseBook book(clock, watchers, outbox, {.max_ttl = absl::Hours(1)});
  size_t records = 0;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos || rest.size() < end + 3) break;
    const std::string key(rest.substr(0, end));
    const size_t length = static_cast<uint8_t>(rest[end + 1]) << 8 | static_cast<uint8_t>(rest[end + 2]);
    const std::string_view value = rest.substr(end + 3, length);
    rest.remove_prefix(end + 3 + value.size());
    const auto entry = ParseBucketEntry(key, value);
    if (!entry.ok()) continue;
    if (const auto* record = std::get_if<v1::LeaseRecord>(&*entry)) {
      CheckRecord(*record);
      Require(LeaseId::FromBytes(record->claims().id())->str() == key);
      book.Learn(*record);
      ++records;
    } else if (const auto* news = std::get_if<LeaseNewsEntry>(&*entry)) {
      for (const v1::LeaseRecord& one : news->records) {
        CheckRecord(one);
        book.LearnNews(one);
        ++records;
      }
    } else {
      book.LearnRevocation(std::get<v1::Revocation>(*entry));
    }
    clock.Advance(absl::Minutes(1));
    book.Tick();
  }
  Require(book.size() <= records);
  for (const v1::LeaseRecord& record : book.List({}, std::nullopt, records + 1)) CheckRecord(record);
  return 0;
}
