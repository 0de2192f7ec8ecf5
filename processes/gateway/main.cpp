// SPDX-License-Identifier: Apache-2.0
// mlxguard-gateway: the only process that talks to the network. It never sees a model file.
#include "gateway_main.h"

int main() { return mlxguard::gateway::gateway_main(mlxguard::task::table()); }
