#include "common/telemetry/span.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class Collected : public SpanCollector {
 public:
  Collected() { CollectSpansWith(this); }
  ~Collected() override { CollectSpansWith(nullptr); }
  void Take(SpanRecord span) override { spans.push_back(std::move(span)); }

  std::vector<SpanRecord> spans;
};

TEST(Span, IsAChildOfWhatTheThreadIsAt) {
  Collected collected;
  const Trace trace = NewTrace(true);
  {
    const TraceScope scope(trace);
    const Span outer("outer", SpanKind::kConsumer, {{"tenant", "acme"}});
    EXPECT_EQ(TraceId(CurrentTrace()), TraceId(trace));
    EXPECT_NE(CurrentTrace().span, trace.span);
    {
      const Span inner("inner");
    }
    {
      const Span second("second");
    }
  }
  ASSERT_EQ(collected.spans.size(), 3u);
  const SpanRecord &inner = collected.spans[0], &second = collected.spans[1], &outer = collected.spans[2];
  EXPECT_EQ(outer.name, "outer");
  EXPECT_EQ(outer.kind, SpanKind::kConsumer);
  EXPECT_EQ(outer.parent, trace.span);
  EXPECT_THAT(outer.attributes, ElementsAre(Pair("tenant", "acme")));
  EXPECT_EQ(inner.name, "inner");
  for (const SpanRecord& child : {inner, second}) {
    EXPECT_EQ(child.parent, outer.trace.span);
    EXPECT_EQ(TraceId(child.trace), TraceId(trace));
    EXPECT_LE(outer.start, child.start);
    EXPECT_LE(child.start, child.end);
    EXPECT_LE(child.end, outer.end);
  }
  EXPECT_NE(inner.trace.span, second.trace.span);
}

TEST(Span, TellsWhatWentWrongAndNoSecretOfIt) {
  Collected collected;
  const TraceScope scope(NewTrace(true));
  {
    Span span("refused");
    EXPECT_EQ(span.Note(Error(v1::REASON_NAME_TAKEN, "the name is taken")).message(), "the name is taken");
    span.Set("step", "making the roles");
  }
  {
    Span("broken").Note(absl::InternalError("password=sesame"));
  }
  {
    Span span("mended");
    span.Note(absl::InternalError("at first"));
    span.Note(absl::OkStatus());
  }
  ASSERT_EQ(collected.spans.size(), 3u);
  EXPECT_TRUE(collected.spans[0].failed);
  EXPECT_EQ(collected.spans[0].error, "the name is taken");
  EXPECT_THAT(collected.spans[0].attributes, ElementsAre(Pair("step", "making the roles")));
  EXPECT_TRUE(collected.spans[1].failed);
  EXPECT_EQ(collected.spans[1].error, "internal error");
  EXPECT_FALSE(collected.spans[2].failed);
}

TEST(Span, IsNothingWhereNobodyWantsIt) {
  const Trace sampled = NewTrace(true);
  {
    const TraceScope scope(sampled);
    const Span span("nobody collects");
    EXPECT_EQ(CurrentTrace(), sampled);
  }
  Collected collected;
  {
    const Trace trace = NewTrace(false);
    const TraceScope scope(trace);
    Span span("not sampled");
    span.Note(absl::OkStatus());
    EXPECT_EQ(CurrentTrace(), trace);
  }
  {
    const Span span("of no trace");
  }
  EXPECT_THAT(collected.spans, IsEmpty());
}

}  // namespace
}  // namespace leasehold
