#include "common/telemetry/trace.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>

namespace leasehold {
namespace {

// version "-" trace id "-" parent id "-" flags
constexpr size_t kLength = 55;

thread_local Trace current;

std::atomic<int> sample_percent = 0;

// Lower case only. nullopt for anything but hex digits.
std::optional<uint64_t> Hex(std::string_view digits) {
  uint64_t value = 0;
  for (const char c : digits) {
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

// None of them zero. The kernel's generator has no state here that a fork or a thread could share.
template <size_t kCount>
std::array<uint64_t, kCount> Random() {
  std::array<uint64_t, kCount> numbers{};
  // Never short for so few bytes; it fails only before the kernel has gathered entropy for the first time.
  while (getrandom(numbers.data(), sizeof numbers, 0) != ssize_t{sizeof numbers} ||
         std::ranges::contains(numbers, 0u)) {
  }
  return numbers;
}

// Lower case, all 16 digits. Without std::format, which takes longer than the rest of what a call's trace costs.
void AppendHex(std::string& out, uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[value >> shift & 15];
}

}  // namespace

Trace ParseTraceparent(std::string_view text) {
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
  // Later versions may add fields.
  if (text.size() > kLength && (text.starts_with("00") || text[kLength] != '-')) return {};
  const auto version = Hex(text.substr(0, 2));
  const auto high = Hex(text.substr(3, 16));
  const auto low = Hex(text.substr(19, 16));
  const auto span = Hex(text.substr(36, 16));
  const auto flags = Hex(text.substr(53, 2));
  if (!version || *version == 0xff || !high || !low || !span || !flags) return {};
  if ((*high | *low) == 0 || *span == 0) return {};
  return {.high = *high, .low = *low, .span = *span, .sampled = (*flags & 1) != 0};
}

Trace NewTrace(bool sampled) {
  const auto [high, low, span] = Random<3>();
  return {.high = high, .low = low, .span = span, .sampled = sampled};
}

Trace BeginTrace() {
  Trace trace = NewTrace(false);
  trace.sampled = IsSampled(trace);
  return trace;
}

bool IsSampled(const Trace& trace) {
  return trace.low % 100 < static_cast<uint64_t>(sample_percent.load(std::memory_order_relaxed));
}

void SetSampling(int percent) { sample_percent = percent; }

uint64_t NewSpanId() { return Random<1>()[0]; }

std::string TraceId(const Trace& trace) {
  std::string text;
  if (!trace) return text;
  text.reserve(32);
  AppendHex(text, trace.high);
  AppendHex(text, trace.low);
  return text;
}

std::string ToTraceparent(const Trace& trace) {
  std::string text;
  if (!trace) return text;
  text.reserve(kLength);
  text += "00-";
  AppendHex(text, trace.high);
  AppendHex(text, trace.low);
  text += '-';
  AppendHex(text, trace.span);
  text += trace.sampled ? "-01" : "-00";
  return text;
}

const Trace& CurrentTrace() { return current; }

TraceScope::TraceScope(const Trace& trace) : before_(current) { current = trace; }

TraceScope::~TraceScope() { current = before_; }

}  // namespace leasehold
