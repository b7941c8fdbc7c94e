// What a diagnosis means: what a service needs of somebody, and what to do about it.
#pragma once

#include "absl/time/time.h"
#include "leasehold/v1/doctor.pb.h"

namespace leasehold::gateway {

// A tenant may be on its way for so long, and a pass late by so much, before somebody should know. For Store::Diagnose.
inline constexpr absl::Duration kDiagnosisPatience = absl::Minutes(1);

// Sets the services' messages, which name a failed tenant before, and the advice. `resync_interval`: how often
// provisioners should make a pass.
void Judge(v1::DiagnoseResponse& diagnosis, absl::Time now, absl::Duration resync_interval);

}  // namespace leasehold::gateway
