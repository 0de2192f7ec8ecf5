// SPDX-License-Identifier: Apache-2.0
// mlxguard._core: the public C++ API for Python. Errors become the typed exceptions of _errors.py.
// Exceptions are used here, as Python and nanobind do; nothing of this reaches the library.
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <chrono>
#include <future>

#include "mlxguard/mlxguard.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

[[noreturn]] void raise(const mlxguard::Error& error) {
  const nb::object make = nb::module_::import_("mlxguard._errors").attr("make");
  const nb::object exception =
      make(static_cast<int>(error.kind), error.number, error.code, error.message, error.subject,
           error.expected, error.actual, error.hint);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw nb::python_error();
}

template <typename T>
T unwrap(mlxguard::Result<T> result) {
  if (!result) raise(result.error());
  return std::move(result).value();
}

mlxguard::Options make_options(const std::filesystem::path& state,
                               const std::filesystem::path& config,
                               std::vector<std::filesystem::path> public_keys,
                               const nb::object& progress) {
  mlxguard::Options options{state, config, std::move(public_keys), {}};
  if (progress.is_none()) return options;
  // Kept for as long as the guard lives, and let go of with the GIL held.
  const std::shared_ptr<nb::object> callback(new nb::object(progress), [](nb::object* held) {
    const nb::gil_scoped_acquire acquired;
    delete held;  // NOLINT(cppcoreguidelines-owning-memory): a deleter
  });
  options.progress = [callback](std::uint64_t done, std::uint64_t total) {
    const nb::gil_scoped_acquire acquired;
    try {
      (*callback)(done, total);
    } catch (nb::python_error& problem) {
      problem.discard_as_unraisable("mlxguard progress");  // it must not decide over verification
    }
  };
  return options;
}

mlxguard::Guard open_guard(const std::filesystem::path& state, const std::filesystem::path& config,
                           std::vector<std::filesystem::path> public_keys,
                           const nb::object& progress) {
  auto options = make_options(state, config, std::move(public_keys), progress);
  auto guard = [&] {
    const nb::gil_scoped_release released;
    return mlxguard::Guard::open(std::move(options));
  }();
  return unwrap(std::move(guard));
}

/// Runs `work` on a thread of its own, without the GIL, while this one listens for Ctrl-C: files of
/// many gigabytes are not read to their end first.
template <typename Work>
auto interruptible(Work work) {
  constexpr std::chrono::milliseconds kListenEvery{50};
  std::atomic<bool> interrupted{false};
  auto running = std::async(std::launch::async,
                            [&] { return work([&interrupted] { return interrupted.load(); }); });
  {
    const nb::gil_scoped_release released;
    while (running.wait_for(kListenEvery) != std::future_status::ready) {
      if (interrupted) continue;
      const nb::gil_scoped_acquire acquired;
      interrupted = PyErr_CheckSignals() != 0;
    }
  }
  if (interrupted) throw nb::python_error();
  return running.get();
}

mlxguard::Model load(mlxguard::Guard& guard, const std::filesystem::path& path,
                     const std::string& name) {
  return unwrap(interruptible(
      [&](std::function<bool()> stop) { return guard.load(path, name, std::move(stop)); }));
}

mlxguard::Report verify(mlxguard::Guard& guard, const std::filesystem::path& path) {
  return unwrap(interruptible(
      [&](std::function<bool()> stop) { return guard.verify(path, std::move(stop)); }));
}

/// "source hub, signer: ... [trust.signer]" each.
std::vector<std::string> words_of(const std::vector<mlxguard::Error>& errors) {
  std::vector<std::string> words;
  for (const mlxguard::Error& error : errors) {
    words.push_back(error.message + " [" + error.code + "]");
  }
  return words;
}

}  // namespace

NB_MODULE(_core, module) {
  module.def("version", [] { return std::string(mlxguard::version()); });

  nb::class_<mlxguard::Model::File>(module, "File")
      .def_ro("name", &mlxguard::Model::File::name)
      .def_ro("size", &mlxguard::Model::File::size_bytes)
      .def_ro("descriptor", &mlxguard::Model::File::descriptor);

  nb::class_<mlxguard::Model>(module, "Model")
      .def_prop_ro("name", &mlxguard::Model::name)
      .def_prop_ro("root_digest", &mlxguard::Model::root_digest)
      .def_prop_ro("signer", &mlxguard::Model::signer)
      .def_prop_ro("warnings",
                   [](const mlxguard::Model& model) { return words_of(model.warnings()); })
      .def_prop_ro("files",
                   [](const mlxguard::Model& model) {
                     return std::vector(model.files().begin(), model.files().end());
                   })
      .def(
          "check_structure",
          [](const mlxguard::Model& model, const std::string& file, const std::string& format) {
            unwrap(model.check_structure(file, format));
          },
          "file"_a, "format"_a = "");

  nb::class_<mlxguard::Report>(module, "Report")
      .def_ro("root_digest", &mlxguard::Report::root_digest)
      .def_ro("signer", &mlxguard::Report::signer)
      .def_ro("signer_name", &mlxguard::Report::signer_name)
      .def_ro("files", &mlxguard::Report::files)
      .def_ro("bytes", &mlxguard::Report::bytes)
      .def_prop_ro("warnings",
                   [](const mlxguard::Report& report) { return words_of(report.warnings); });

  nb::class_<mlxguard::Guard>(module, "Guard")
      .def_static("open", &open_guard, "state"_a, "config"_a, "public_keys"_a, "progress"_a.none())
      .def("load", &load, "path"_a, "name"_a = "")
      .def("verify", &verify, "path"_a)
      .def("close", [](mlxguard::Guard& guard) { unwrap(guard.close()); });
}
