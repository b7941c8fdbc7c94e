#include "services/cli/top_screen.h"

#include <algorithm>
#include <format>
#include <ftxui/screen/screen.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"

namespace leasehold::cli {
namespace {

constexpr size_t kMostErrors = 3;
// Title, tenants, a blank, the services' head; a blank and the rows' head; the line of keys.
constexpr int kFixedLines = 7;
constexpr int kMinTenantWidth = 12;
// The longest id: what a wide terminal has beyond that would only part a tenant from its figures.
constexpr int kMaxTenantWidth = 36;
constexpr int kServiceWidth = 10;
// The longest name, and a blank.
constexpr int kMaxServiceWidth = 17;
// Of a row beside its tenant, with kServiceWidth.
constexpr int kFigureWidth = 65;

std::string Cut(std::string_view content, int width) {
  std::string out(content);
  if (static_cast<int>(DisplayWidth(out)) <= width) return out;
  while (!out.empty() && static_cast<int>(DisplayWidth(out)) >= width) out.pop_back();
  return out + "…";
}

// Of an id: those that are told apart by their ends are as many as those that are by their beginnings.
std::string CutMiddle(std::string_view id, int width) {
  const auto fits = static_cast<size_t>(width);
  if (id.size() <= fits) return std::string(id);
  return std::format("{}…{}", id.substr(0, fits / 2), id.substr(id.size() - (fits - 1) / 2));
}

std::string Left(std::string_view content, int width) {
  std::string out = Cut(content, width);
  out.append(static_cast<size_t>(std::max(width - static_cast<int>(DisplayWidth(out)), 0)), ' ');
  return out;
}

std::string Right(std::string_view content, int width) {
  const int blanks = width - static_cast<int>(DisplayWidth(content));
  return blanks >= 0 ? std::string(static_cast<size_t>(blanks), ' ').append(content) : Left(content, width);
}

// "0", "3.2", "214", "1.3k": three or four columns.
std::string Rate(const std::optional<double>& rate) {
  if (!rate) return "-";
  if (*rate == 0) return "0";
  if (*rate < 10) return absl::StrFormat("%.1f", *rate);
  if (*rate < 1'000) return absl::StrFormat("%.0f", *rate);
  return *rate < 10'000 ? absl::StrFormat("%.1fk", *rate / 1'000) : absl::StrFormat("%.0fk", *rate / 1'000);
}

std::string OfMost(const TopLoad& load) { return absl::StrCat(load.servers, "/", load.most_servers); }

std::string P99(const TopLoad& load) { return load.p99 ? load.p99->Text() : "-"; }

// Of one line.
class Line {
 public:
  Line& Add(const std::string& content) {
    parts_.push_back(ftxui::text(content));
    return *this;
  }
  Line& Add(const std::string& content, ftxui::Decorator style) {
    parts_.push_back(ftxui::text(content) | style);
    return *this;
  }
  Line& AddIf(bool marked, const std::string& content, ftxui::Decorator style) {
    return marked ? Add(content, style) : Add(content);
  }
  ftxui::Element Done() { return ftxui::hbox(std::move(parts_)); }

 private:
  ftxui::Elements parts_;
};

const ftxui::Decorator kRed = ftxui::color(ftxui::Color::Red);
const ftxui::Decorator kYellow = ftxui::color(ftxui::Color::Yellow);
const ftxui::Decorator kGreen = ftxui::color(ftxui::Color::Green);

ftxui::Element Title(const TopView& view) {
  const v1::GatewayStatus& gateway = view.figures.gateway;
  Line line;
  line.Add("leasehold top  ", ftxui::bold).Add(gateway.name() + "  ");
  line.Add(gateway.ready() ? "ready" : "not ready", gateway.ready() ? kGreen : kRed);
  line.Add(absl::StrCat("  up ", ShortDuration(view.figures.time - ToTime(gateway.start_time())), "  ",
                        absl::FormatTime("%H:%M:%S", view.figures.time, absl::LocalTimeZone())));
  if (view.paused) line.Add("  paused", kYellow);
  return line.Done();
}

ftxui::Element Tenants(const TopView& view) {
  const std::string counts =
      absl::StrJoin(view.figures.tenants, ", ", [](std::string* out, const v1::TenantCount& tenants) {
        absl::StrAppend(out, tenants.count(), " ", Word(tenants.state()));
      });
  return Line()
      .Add(absl::StrCat(
          "tenants: ", counts.empty() ? "none" : counts, "   operations: ", view.figures.operations_running,
          " running   sessions: ", view.figures.gateway.sessions(), "   leases: ", view.figures.gateway.leases()))
      .Done();
}

void AddErrors(const TopView& view, ftxui::Elements& lines) {
  std::vector<std::string> errors = view.figures.errors;
  if (!view.trouble.empty()) errors.insert(errors.begin(), view.trouble);
  const size_t shown = std::min(errors.size(), kMostErrors);
  for (size_t i = 0; i < shown; ++i) {
    const bool last = i + 1 == shown && errors.size() > shown;
    const std::string more =
        last ? absl::StrCat("  (and ", errors.size() - shown, " more: leasehold status)") : std::string();
    lines.push_back(
        Line().Add(absl::StrCat(Cut(errors[i], view.width - static_cast<int>(more.size())), more), kRed).Done());
  }
}

int ErrorLines(const TopView& view) {
  const size_t errors = view.figures.errors.size() + (view.trouble.empty() ? 0 : 1);
  return static_cast<int>(std::min(errors, kMostErrors));
}

int TenantWidth(const TopView& view) { return std::clamp(view.width - kFigureWidth, kMinTenantWidth, kMaxTenantWidth); }

int ServiceWidth(const TopView& view) {
  return std::clamp(view.width - kFigureWidth - kMaxTenantWidth + kServiceWidth, kServiceWidth, kMaxServiceWidth);
}

void AddServices(const TopView& view, ftxui::Elements& lines) {
  lines.push_back(Line()
                      .Add(absl::StrCat(Left("SERVICE", ServiceWidth(view)), Right("SESS", 6), Right("WAIT", 6),
                                        Right("SERVERS", 9), Right("WORK", 6), Right("Q/S", 6), Right("P99", 8),
                                        Right("EV/S", 6), Right("PENDING", 9), Right("FAILED", 8)),
                           ftxui::dim)
                      .Done());
  for (const TopService& service : view.figures.services) {
    const TopLoad& load = service.load;
    Line line;
    line.AddIf(!service.instance_well, Left(service.service, ServiceWidth(view)), kRed)
        .Add(Right(absl::StrCat(load.sessions), 6))
        .AddIf(load.waiting > 0, Right(absl::StrCat(load.waiting), 6), kYellow)
        .AddIf(load.servers > 0 && load.servers >= load.most_servers, Right(OfMost(load), 9), kYellow)
        .Add(absl::StrCat(Right(absl::StrCat(load.working), 6), Right(Rate(load.queries), 6), Right(P99(load), 8),
                          Right(Rate(load.evictions), 6)))
        .AddIf(service.pending > 0, Right(absl::StrCat(service.pending), 9), kYellow)
        .AddIf(service.failed > 0, Right(absl::StrCat(service.failed), 8), kRed);
    lines.push_back(line.Done());
  }
}

ftxui::Element RowsHead(const TopView& view) {
  return Line()
      .Add(absl::StrCat(Left("TENANT", TenantWidth(view)), " ", Left("SERVICE", ServiceWidth(view)), Left("STATE", 8),
                        Right("SESS", 6), Right("WAIT", 6), Right("SERVERS", 9), Right("WORK", 6), Right("Q/S", 6),
                        Right("P99", 7), Right("EV/S", 6)),
           ftxui::inverted)
      .Done();
}

ftxui::Element Row(const TopRow& row, const TopView& view) {
  const TopLoad& load = row.load;
  const bool failed = row.state == v1::SERVICE_STATE_FAILED;
  const bool ready = row.state == v1::SERVICE_STATE_READY;
  Line line;
  line.Add(absl::StrCat(Left(CutMiddle(row.tenant, TenantWidth(view)), TenantWidth(view)), " ",
                        Left(row.service, ServiceWidth(view))));
  if (ready) {
    line.Add(Left("ready", 8));
  } else {
    line.Add(Left(Word(row.state), 8), failed ? kRed : kYellow);
  }
  line.Add(Right(absl::StrCat(load.sessions), 6))
      .AddIf(load.waiting > 0, Right(absl::StrCat(load.waiting), 6), kYellow)
      .AddIf(load.servers > 0 && load.servers >= load.most_servers, Right(OfMost(load), 9), kYellow)
      .Add(absl::StrCat(Right(absl::StrCat(load.working), 6), Right(Rate(load.queries), 6), Right(P99(load), 7),
                        Right(Rate(load.evictions), 6)));
  return line.Done();
}

ftxui::Element Keys(const TopView& view, size_t shown, size_t all) {
  if (view.editing) {
    return Line().Add(absl::StrCat("filter: ", view.filter, "█"), kYellow).Add("   enter: keep   esc: none").Done();
  }
  const std::string rows = all == 0 ? "no rows" : absl::StrCat(view.first + 1, "-", view.first + shown, " of ", all);
  return Line()
      .Add(absl::StrCat("q quit  s sort: ", std::string(WordOf(view.sort)), "  / filter",
                        view.filter.empty() ? "" : absl::StrCat(": ", view.filter), "  p pause  ↑↓  ", rows),
           ftxui::dim)
      .Done();
}

}  // namespace

size_t TopRowsThatFit(const TopView& view) {
  const int taken = kFixedLines + static_cast<int>(view.figures.services.size()) + ErrorLines(view);
  return static_cast<size_t>(std::max(view.height - taken, 1));
}

ftxui::Element TopScreen(const TopView& view) {
  const std::vector<TopRow> rows = Arranged(view.figures.rows, view.sort, view.filter);
  const size_t first = std::min(view.first, rows.size());
  const size_t fit = view.height == 0 ? rows.size() : TopRowsThatFit(view);
  const size_t shown = std::min(fit, rows.size() - first);
  ftxui::Elements lines = {Title(view), Tenants(view)};
  AddErrors(view, lines);
  lines.push_back(ftxui::text(""));
  AddServices(view, lines);
  lines.push_back(ftxui::text(""));
  lines.push_back(RowsHead(view));
  for (size_t i = first; i < first + shown; ++i) lines.push_back(Row(rows[i], view));
  if (view.height > 0) lines.push_back(ftxui::filler());
  if (view.keys) lines.push_back(Keys(view, shown, rows.size()));
  return ftxui::vbox(std::move(lines));
}

std::string TopFrame(const TopView& view, bool colours) {
  const ftxui::Element document = TopScreen(view);
  const int height = view.height > 0 ? view.height
                                     : kFixedLines - (view.keys ? 0 : 1) + ErrorLines(view) +
                                           static_cast<int>(view.figures.services.size() + view.figures.rows.size());
  ftxui::Screen screen = ftxui::Screen::Create(ftxui::Dimension::Fixed(view.width), ftxui::Dimension::Fixed(height));
  ftxui::Render(screen, document);
  if (colours) return absl::StrCat(screen.ToString(), "\n");
  std::string frame;
  for (int y = 0; y < screen.dimy(); ++y) {
    std::string line;
    for (int x = 0; x < screen.dimx(); ++x) line += screen.at(x, y);
    absl::StrAppend(&frame, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  while (frame.ends_with("\n\n")) frame.pop_back();
  return frame;
}

}  // namespace leasehold::cli
