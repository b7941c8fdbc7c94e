// What holds where the file says nothing.
#pragma once

#include "leasehold/v1/config.pb.h"

namespace leasehold::config {

// Before the file is read.
v1::Config Defaults();
// Before the `index`-th entry of `services` is read: instances and HTTP ports count up from 7501 and 7481.
v1::ServiceConfig ServiceDefaults(int index);
// After file and environment: defaults that follow from other fields.
void FillDerived(v1::Config& config);

}  // namespace leasehold::config
