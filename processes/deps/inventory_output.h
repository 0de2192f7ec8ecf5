// SPDX-License-Identifier: Apache-2.0
// An inventory for people: a table of packages, one of native parts, what is to be looked at; or a
// tree of who needs whom.
#pragma once

#include "inventory/component.h"
#include "output.h"

namespace mlxguard::cli {

void print_inventory_table(const Output& output, const inventory::Inventory& inventory);
void print_inventory_tree(const Output& output, const inventory::Inventory& inventory);
/// What the reader should look at, grouped by kind; nothing when there is nothing.
void print_observations(const Output& output, const inventory::Inventory& inventory);

}  // namespace mlxguard::cli
