// SPDX-License-Identifier: Apache-2.0
// mlxguard-token: the process in which a PKCS#11 module runs. It is given a URI, a PIN and digests
// over its standard input, and answers on its standard output. It holds nothing else of ours: no
// files, no keys, no log. The module is foreign code that may do what the user may do; what it
// cannot do is reach into the memory of the process that asked, or keep it waiting for ever.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "crypto/pkcs11_module.h"

int main(int argc, char**) {
  constexpr int kFirstOfOurs = 10;
  if (argc != 1 || ::isatty(STDIN_FILENO) == 1) {
    constexpr char kText[] = "mlxguard-token is started by mlxguard\n";
    static_cast<void>(!::write(STDERR_FILENO, kText, sizeof kText - 1));
    return 2;
  }
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::close_range(STDERR_FILENO + 1, ~0u, 0);
  // What the module prints must not be taken for an answer, nor reach the user's terminal.
  const mlxguard::UniqueFd requests(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, kFirstOfOurs));
  const mlxguard::UniqueFd answers(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, kFirstOfOurs));
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (!requests.is_open() || !answers.is_open() || null < 0) return 3;
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null, standard) < 0) return 3;
  }
  mlxguard::crypto::serve_token(requests.get(), answers.get());
  return 0;
}
