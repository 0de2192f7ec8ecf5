// SPDX-License-Identifier: Apache-2.0
// The gateway as it is, and one task more: a stream that tests can ask for. Never installed.
#include <vector>

#include "gateway_main.h"
#include "task/test_counting.h"

int main() {
  using namespace mlxguard;
  std::vector<task::Row> rows(task::table().begin(), task::table().end());
  rows.push_back(task::test::counting_row());
  return gateway::gateway_main(rows);
}
