// leasehold audit, leasehold audit verify
#include <algorithm>
#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using Service = v1::AuditService::StubInterface;

constexpr absl::Duration kFollowInterval = absl::Milliseconds(500);
constexpr int kLargestPage = 1000;

struct Flags {
  v1::ListAuditEventsRequest request;
  std::string action;
  std::string since;
  std::string until;
  int limit = 100;
  bool follow = false;
};

// "15m" is so long ago; else a time as RFC 3339 writes it.
void SetTime(const char* name, const std::string& text, google::protobuf::Timestamp& time) {
  if (text.empty()) return;
  if (const auto ago = ParseDurationField(name, text); ago.ok()) {
    time = FromTime(absl::Now() - *ago);
    return;
  }
  absl::Time parsed;
  if (!absl::ParseTime(absl::RFC3339_full, text, &parsed, nullptr)) {
    UsageError(absl::StrCat(name, " is '", Printable(text),
                            "'; allowed: a time such as 2026-01-31T12:00:00Z, or how long ago: 15m"));
  }
  time = FromTime(parsed);
}

v1::AuditAction ActionOf(const std::string& word) {
  v1::AuditAction action = v1::AUDIT_ACTION_UNSPECIFIED;
  if (word.empty()) return action;
  std::string known;
  for (int i = v1::AuditAction_MIN + 1; i <= v1::AuditAction_MAX; ++i) {
    if (!v1::AuditAction_IsValid(i)) continue;
    if (Word(static_cast<v1::AuditAction>(i)) == word) return static_cast<v1::AuditAction>(i);
    absl::StrAppend(&known, known.empty() ? "" : ", ", Word(static_cast<v1::AuditAction>(i)));
  }
  UsageError(absl::StrCat("--action is '", Printable(word), "'; allowed: ", known));
}

// The newest `limit` events, the oldest of them first.
absl::StatusOr<v1::ListAuditEventsResponse> Newest(GatewayClient& client, v1::ListAuditEventsRequest request,
                                                   int limit) {
  std::vector<v1::AuditEvent> events;
  do {
    request.set_page_size(std::min(limit - static_cast<int>(events.size()), kLargestPage));
    LH_ASSIGN_OR_RETURN(const v1::ListAuditEventsResponse page,
                        client.Call(client.audit(), &Service::ListAuditEvents, request));
    events.insert(events.end(), page.events().begin(), page.events().end());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && events.size() < static_cast<size_t>(limit));
  v1::ListAuditEventsResponse all;
  std::for_each(events.rbegin(), events.rend(),
                [&all](v1::AuditEvent& event) { *all.add_events() = std::move(event); });
  return all;
}

// Until the gateway does not answer or the user has seen enough.
absl::StatusOr<int> Follow(const Command& command, GatewayClient& client, v1::ListAuditEventsRequest request,
                           const std::string& after) {
  request.set_page_size(kLargestPage);
  request.set_after(after.empty() ? "0.0" : after);
  while (true) {
    LH_ASSIGN_OR_RETURN(const v1::ListAuditEventsResponse page,
                        client.Call(client.audit(), &Service::ListAuditEvents, request));
    for (const v1::AuditEvent& event : page.events()) {
      std::cout << (command.json ? ToJsonLine(event) : AuditLine(event, command.terminal));
      request.set_after(event.id());
    }
    std::cout.flush();
    request.set_page_token(page.next_page_token());
    if (page.next_page_token().empty()) absl::SleepFor(kFollowInterval);
  }
}

absl::StatusOr<int> List(const Command& command, const Flags& flags) {
  GatewayClient client(command.gateway);
  if (flags.limit == 0 && !flags.follow) return kDone;
  v1::ListAuditEventsResponse newest;
  // To follow from now on, the newest one is asked for too.
  LH_ASSIGN_OR_RETURN(newest, Newest(client, flags.request, std::max(flags.limit, 1)));
  if (!flags.follow) {
    std::cout << (command.json ? ToJson(newest) : ShowAudit(newest.events(), command.terminal));
    return kDone;
  }
  for (const v1::AuditEvent& event : newest.events()) {
    if (flags.limit > 0) std::cout << (command.json ? ToJsonLine(event) : AuditLine(event, command.terminal));
  }
  return Follow(command, client, flags.request, newest.events().empty() ? "" : newest.events().rbegin()->id());
}

std::string Trimmed(const v1::VerifyAuditResponse& verified) {
  if (verified.trimmed_number() == 0) return "";
  return absl::StrCat("; records up to ", verified.trimmed_number(), " were removed at ",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", ToTime(verified.trim_time()), absl::UTCTimeZone()),
                      " for audit.retention");
}

absl::StatusOr<int> Verify(const Command& command, int64_t from) {
  GatewayClient client(command.gateway);
  v1::VerifyAuditRequest request;
  request.set_number(from);
  v1::VerifyAuditResponse all;
  while (!all.done()) {
    LH_ASSIGN_OR_RETURN(const v1::VerifyAuditResponse part,
                        client.Call(client.audit(), &Service::VerifyAudit, request));
    const int64_t records = all.records() + part.records();
    const int64_t events = all.events() + part.events();
    all = part;
    all.set_records(records);
    all.set_events(events);
    request.set_number(part.next_number());
    request.set_previous(part.next_previous());
  }
  const bool broken = all.has_broken_number();
  if (command.json) {
    std::cout << ToJson(all);
  } else if (!broken) {
    std::cout << absl::StrCat(all.records(), all.records() == 1 ? " record with " : " records with ", all.events(),
                              all.events() == 1 ? " event" : " events", all.records() == 1 ? " is" : " are",
                              " as written", Trimmed(all), "\n");
  } else {
    std::cerr << ErrorLine(absl::StrCat("record ", all.broken_number(),
                                        " of the audit trail is broken: ", all.broken_why(), "; the ", all.records(),
                                        " records before it are as they were written"));
  }
  return broken ? kFailed : kDone;
}

}  // namespace

void AddAudit(CLI::App& app, Command& command) {
  auto flags = std::make_shared<Flags>();
  CLI::App* audit = app.add_subcommand("audit", "Show who did what, and what was refused");
  v1::ListAuditEventsRequest& request = flags->request;
  audit->add_option("--tenant", *request.mutable_tenant(), "Only of this tenant");
  audit->add_option("--service", *request.mutable_service(), "Only of this service");
  audit->add_option("--principal", *request.mutable_principal(), "Only by this caller, as it proved itself");
  audit->add_option("--lease", *request.mutable_lease(), "Only of this lease");
  audit->add_option("--action", flags->action, "Only this: lease-acquire, session-switch, tenant-create …");
  audit->add_option("--outcome", *request.mutable_outcome(), "done, refused, or a reason: switch_not_allowed");
  audit->add_option("--since", flags->since, "Not before: 2026-01-31T12:00:00Z, or 15m ago");
  audit->add_option("--until", flags->until, "Before: as --since");
  AddCount(*audit, "--limit", flags->limit, "The newest so many; 100 if not given");
  audit->add_flag("--follow", flags->follow, "And what comes from now on");

  auto from = std::make_shared<int>(0);
  CLI::App* verify =
      audit->add_subcommand("verify", "Compute the trail's hashes anew; 1 if a record is not as it was written");
  AddCount(*verify, "--from", *from, "The first record to check; what it continues is taken as it is");
  audit->callback([flags, from, audit, verify, &command] {
    if (verify->parsed()) {
      for (const CLI::Option* option : audit->get_options()) {
        if (option->count() == 0) continue;
        UsageError(
            absl::StrCat(option->get_name(), " says nothing to verify, which checks all records; it takes --from"));
      }
      command.run = [from, &command] { return Verify(command, *from); };
      return;
    }
    if (flags->follow && !flags->until.empty()) {
      UsageError("--follow shows what is still to come, and --until ends before that: give one of them");
    }
    SetTime("--since", flags->since, *flags->request.mutable_since());
    SetTime("--until", flags->until, *flags->request.mutable_until());
    if (flags->since.empty()) flags->request.clear_since();
    if (flags->until.empty()) flags->request.clear_until();
    flags->request.set_action(ActionOf(flags->action));
    command.run = [flags, &command] { return List(command, *flags); };
  });
}

}  // namespace leasehold::cli
