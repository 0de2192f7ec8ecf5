// SPDX-License-Identifier: Apache-2.0
#include "advisories/accepted_names.h"

#include <algorithm>
#include <string_view>

#include "advisories/scan.h"
#include "packaging/name.h"
#include "packaging/scan.h"

namespace mlxguard::advisories {

Result<std::set<std::string, std::less<>>> accepted_names(const std::vector<std::string>& given,
                                                          const inventory::Inventory& inventory,
                                                          OtherNames others) {
  std::set<std::string, std::less<>> known, accepted;
  std::string reasons;
  for (const ReasonRow& row : reason_rows()) {
    known.emplace(row.name);
    reasons += (reasons.empty() ? "" : ", ") + std::string(row.name);
  }
  for (const auto& one : inventory.components) known.insert(one.name);
  for (const std::string& list : given) {
    for (std::size_t at = 0; at <= list.size();) {
      const std::size_t end = std::min(list.find(',', at), list.size());
      const std::string_view word = packaging::trim(std::string_view(list).substr(at, end - at));
      at = end + 1;
      const std::string name = packaging::normalize_name(word);
      for (const std::string& one : {std::string(word), name}) {
        if (known.contains(one)) accepted.insert(one);
      }
      const bool known_name = known.contains(word) || known.contains(name);
      if (known_name || others == OtherNames::kIgnored) continue;
      return make_error(ErrorCode::kUsage,
                        "--accept: neither a package that is here nor a reason: " +
                            std::string(word))
          .hinting("reasons are " + reasons);
    }
  }
  return accepted;
}

}  // namespace mlxguard::advisories
