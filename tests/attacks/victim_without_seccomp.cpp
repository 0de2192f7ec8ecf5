// SPDX-License-Identifier: Apache-2.0
// Linked with --wrap=seccomp_load: the real lock, whose last sentence has no effect, so that the
// layers below it meet the attack alone. Exists in this test only.
extern "C" int __wrap_seccomp_load(void* filter);
extern "C" int __wrap_seccomp_load(void* /*filter*/) { return 0; }
