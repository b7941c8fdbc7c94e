#include "services/gateway/audit/reading.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <limits>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/audit/chain.h"
#include "services/gateway/audit/filter.h"
#include "services/gateway/audit/line.h"
#include "services/gateway/audit/records.h"
#include "services/gateway/audit/trim.h"

namespace leasehold::gateway {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kMostPage = 1000;
// Records that are looked through for one page, and how many at a time.
constexpr int kMostLooked = 4000;
constexpr int kLookedAtOnce = 100;
constexpr int kDefaultChecked = 1000;
constexpr int kMostChecked = 10'000;
// Of memory: records can be some hundred kilobytes.
constexpr int kCheckedAtOnce = 50;

// "<record>.<position in it>", from 1.
struct Position {
  int64_t record = 0;
  int64_t line = 0;

  auto operator<=>(const Position&) const = default;
  std::string str() const { return absl::StrCat(record, ".", line); }

  static std::optional<Position> Parse(std::string_view text) {
    Position at;
    const char* const end = text.data() + text.size();
    const auto record = std::from_chars(text.data(), end, at.record);
    if (record.ec != std::errc() || record.ptr == end || *record.ptr != '.') return std::nullopt;
    const auto line = std::from_chars(record.ptr + 1, end, at.line);
    if (line.ec != std::errc() || line.ptr != end || at.record < 0 || at.line < 0) return std::nullopt;
    return at;
  }
};

// Records next to `from` whose text holds the filter's marks; the scan ends after kMostLooked of them, whatever they
// hold.
absl::StatusOr<pqxx::result> Look(postgres::Transaction& tx, const AuditFilter& filter, int64_t from, bool upwards) {
  std::string conditions;
  std::vector<postgres::Param> params = {std::to_string(from), std::to_string(kLookedAtOnce)};
  const auto require = [&](std::string_view before, std::string value, std::string_view after) {
    params.emplace_back(std::move(value));
    conditions += std::format(" AND {}${}{}", before, params.size(), after);
  };
  for (const std::string& mark : filter.marks()) require("strpos(events, ", mark, ") > 0");
  if (filter.since() != absl::InfinitePast()) {
    require("last_time >= to_timestamp(", std::to_string(absl::ToUnixMicros(filter.since())), "::bigint / 1e6)");
  }
  if (filter.until() != absl::InfiniteFuture()) {
    require("first_time < to_timestamp(", std::to_string(absl::ToUnixMicros(filter.until())), "::bigint / 1e6)");
  }
  const std::string range = upwards ? std::format("number BETWEEN $1 AND $1 + {}", kMostLooked - 1)
                                    : std::format("number BETWEEN $1 - {} AND $1", kMostLooked - 1);
  return tx.Exec(std::format("SELECT number, events FROM leasehold.audit WHERE {}{} ORDER BY number{} LIMIT $2", range,
                             conditions, upwards ? "" : " DESC"),
                 params);
}

struct Extent {
  int64_t oldest;
  int64_t newest;
};

absl::StatusOr<Extent> ExtentOf(postgres::Transaction& tx) {
  LH_ASSIGN_OR_RETURN(const pqxx::result ends,
                      tx.Exec("SELECT coalesce(min(number), 1), coalesce(max(number), 0) FROM leasehold.audit"));
  return Extent{.oldest = ends[0][0].as<int64_t>(), .newest = ends[0][1].as<int64_t>()};
}

// Whether the record that the anchor names, itself in the chain, tells of it.
absl::StatusOr<bool> IsTold(postgres::Transaction& tx, const AuditAnchor& anchor) {
  LH_ASSIGN_OR_RETURN(const std::vector<v1::AuditRecord> records, ReadRecords(tx, anchor.told_in, 1));
  if (records.empty() || records.front().number() != anchor.told_in) return false;
  for (const absl::string_view line : absl::StrSplit(records.front().events(), '\n', absl::SkipEmpty())) {
    const absl::StatusOr<v1::AuditEvent> event = ParseAuditLine(StdView(line));
    if (event.ok() && TellsOfTrim(*event, anchor.last)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<v1::ListAuditEventsResponse> ListAuditEvents(postgres::Transaction& tx,
                                                            const v1::ListAuditEventsRequest& request) {
  if (request.page_size() < 0 || request.page_size() > kMostPage) {
    return InvalidField("page_size", std::to_string(request.page_size()), std::format("0 to {}", kMostPage));
  }
  const size_t page = request.page_size() == 0 ? kDefaultPage : request.page_size();
  LH_ASSIGN_OR_RETURN(const AuditFilter filter, AuditFilter::Of(request));
  const bool upwards = !request.after().empty();
  std::optional<Position> after;  // not it itself
  if (upwards) {
    after = Position::Parse(request.after());
    if (!after) return InvalidField("after", request.after(), "the id of an event");
  }
  if (!request.page_token().empty()) {
    after = Position::Parse(request.page_token());
    if (!after) return Error(v1::REASON_BAD_PAGE_TOKEN, "page_token is not one that this list gave out");
  }
  LH_ASSIGN_OR_RETURN(const Extent extent, ExtentOf(tx));
  int64_t from = after ? after->record : extent.newest;
  // What lies before it may be millions of numbers that are in use no more.
  if (upwards) from = std::max(from, extent.oldest);
  const int64_t last = upwards ? extent.newest : extent.oldest;

  v1::ListAuditEventsResponse response;
  while (upwards ? from <= last : from >= last) {
    LH_ASSIGN_OR_RETURN(const pqxx::result found, Look(tx, filter, from, upwards));
    for (const pqxx::row& row : found) {
      std::vector<std::pair<Position, std::string_view>> lines;
      const auto number = row[0].as<int64_t>();
      int64_t count = 0;
      for (const absl::string_view line : absl::StrSplit(AbslView(row[1].view()), '\n', absl::SkipEmpty())) {
        lines.push_back({{number, ++count}, StdView(line)});
      }
      if (!upwards) std::ranges::reverse(lines);
      for (const auto& [at, line] : lines) {
        if (after && (upwards ? at <= *after : at >= *after)) continue;
        if (!std::ranges::all_of(filter.marks(), [&](const std::string& mark) { return line.contains(mark); }))
          continue;
        const absl::StatusOr<v1::AuditEvent> event = ParseAuditLine(line);
        if (!event.ok() || !filter.Matches(*event)) continue;
        *response.add_events() = *event;
        response.mutable_events()->rbegin()->set_id(at.str());
        if (static_cast<size_t>(response.events_size()) == page) {
          response.set_next_page_token(at.str());
          return response;
        }
      }
    }
    // Fewer than asked for: there are no more among those that were looked through.
    if (found.size() == kLookedAtOnce) {
      from = found[kLookedAtOnce - 1][0].as<int64_t>() + (upwards ? 1 : -1);
      continue;
    }
    from += upwards ? kMostLooked : -kMostLooked;
    if (upwards ? from > last : from < last) break;
    response.set_next_page_token(Position{from, upwards ? 0 : std::numeric_limits<int64_t>::max()}.str());
    return response;
  }
  return response;
}

absl::StatusOr<v1::VerifyAuditResponse> VerifyAudit(postgres::Transaction& tx, const v1::VerifyAuditRequest& request) {
  if (request.number() < 0) return InvalidField("number", std::to_string(request.number()), "0 or more");
  if (!request.previous().empty() && request.previous().size() != 32) {
    return InvalidField("previous", std::format("{} bytes", request.previous().size()), "32 bytes, or none");
  }
  if (request.limit() < 0 || request.limit() > kMostChecked) {
    return InvalidField("limit", std::to_string(request.limit()), std::format("0 to {}", kMostChecked));
  }
  // Records may be removed meanwhile, with an anchor in their place.
  LH_RETURN_IF_ERROR(tx.Exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").status());
  LH_ASSIGN_OR_RETURN(const AuditAnchor anchor, NewestAnchor(tx));
  const int64_t first = anchor.last.number + 1;
  int64_t number = std::max<int64_t>(request.number(), 1);
  int left = request.limit() == 0 ? kDefaultChecked : request.limit();
  std::string previous = request.previous();
  if (number < first) {
    if (request.number() != 0 && previous.empty()) {
      return InvalidField("number", std::to_string(number),
                          std::format("{} or more: what was before was removed for audit.retention", first));
    }
    number = first;
    previous.clear();
  }
  if (previous.empty() && number == first) previous = anchor.last.hash;
  LH_ASSIGN_OR_RETURN(const Extent extent, ExtentOf(tx));
  LH_ASSIGN_OR_RETURN(const pqxx::result stream, tx.Exec("SELECT number FROM leasehold.audit_published"));
  const int64_t published = stream.empty() ? 0 : stream[0][0].as<int64_t>();
  // A number that there never was is a mistake, and nothing would be checked.
  if (const int64_t newest = std::max(extent.newest, published); previous.empty() && number > newest) {
    return InvalidField("number", std::to_string(number), std::format("{} to {}", first, std::max(newest, first)));
  }

  v1::VerifyAuditResponse response;
  if (first > 1) {
    response.set_trimmed_number(anchor.last.number);
    *response.mutable_trim_time() = FromTime(anchor.time);
  }
  const auto broken = [&response](int64_t at, std::string why) {
    response.set_done(true);
    response.set_broken_number(at);
    response.set_broken_why(std::move(why));
    return response;
  };
  if (first > 1 && number == first) {
    LH_ASSIGN_OR_RETURN(const bool told, IsTold(tx, anchor));
    const bool by_hand = anchor.told_in == 0;
    if (by_hand && request.number() == 0) {
      return broken(number, "no record tells what was removed before it; --from checks from it on");
    }
    if (!told && !by_hand) {
      return broken(
          anchor.last.number,
          std::format("it counts as removed for audit.retention, but record {} does not tell so", anchor.told_in));
    }
  }
  while (left > 0) {
    const int limit = std::min(left, kCheckedAtOnce);
    LH_ASSIGN_OR_RETURN(const std::vector<v1::AuditRecord> records, ReadRecords(tx, number, limit));
    for (const v1::AuditRecord& record : records) {
      if (record.number() != number) return broken(number, "it is missing");
      if (previous.empty()) previous = record.previous();
      if (record.previous() != previous) {
        return broken(number, "it does not continue the record before it: one of the two is not what was written");
      }
      if (AuditHash(record.previous(), number, record.gateway(), record.events()) != record.hash()) {
        return broken(number, "its events, gateway or number are not those that were hashed");
      }
      response.set_records(response.records() + 1);
      response.set_events(response.events() + std::ranges::count(record.events(), '\n'));
      previous = record.hash();
      ++number;
    }
    left -= limit;
    if (records.size() == static_cast<size_t>(limit)) continue;
    response.set_done(true);
    if (published >= number) {
      return broken(number,
                    std::format("it is missing, with all behind it: the stream AUDIT has records up to {}", published));
    }
    break;
  }
  response.set_next_number(number);
  response.set_next_previous(previous);
  return response;
}

}  // namespace leasehold::gateway
