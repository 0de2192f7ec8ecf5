// SPDX-License-Identifier: Apache-2.0
// Which imports of a pickle are harmless, and which run code. What stands in neither list is
// unknown.
#include <algorithm>
#include <array>
#include <string>

#include "inspect/pickle_scan.h"

namespace mlxguard::inspect {
namespace {

/// Modules all of which is dangerous in a pickle: their functions run commands or code, reach files
/// or the network, or give access to what does.
constexpr std::array<std::string_view, 78> kDangerousModules{"os",
                                                             "posix",
                                                             "nt",
                                                             "ntpath",
                                                             "posixpath",
                                                             "sys",
                                                             "subprocess",
                                                             "shutil",
                                                             "runpy",
                                                             "pty",
                                                             "socket",
                                                             "importlib",
                                                             "imp",
                                                             "ctypes",
                                                             "_ctypes",
                                                             "cffi",
                                                             "code",
                                                             "codeop",
                                                             "pickle",
                                                             "_pickle",
                                                             "cPickle",
                                                             "dill",
                                                             "_dill",
                                                             "cloudpickle",
                                                             "jsonpickle",
                                                             "marshal",
                                                             "types",
                                                             "webbrowser",
                                                             "requests",
                                                             "httpx",
                                                             "aiohttp",
                                                             "http",
                                                             "httplib",
                                                             "urllib",
                                                             "urllib2",
                                                             "urllib3",
                                                             "ftplib",
                                                             "smtplib",
                                                             "telnetlib",
                                                             "xmlrpc",
                                                             "asyncio",
                                                             "multiprocessing",
                                                             "_posixsubprocess",
                                                             "timeit",
                                                             "cProfile",
                                                             "profile",
                                                             "pdb",
                                                             "bdb",
                                                             "doctest",
                                                             "pip",
                                                             "pydoc",
                                                             "tempfile",
                                                             "zipimport",
                                                             "pkgutil",
                                                             "distutils",
                                                             "setuptools",
                                                             "ensurepip",
                                                             "idlelib",
                                                             "lib2to3",
                                                             "trace",
                                                             "commands",
                                                             "threading",
                                                             "_thread",
                                                             "signal",
                                                             "inspect",
                                                             "gc",
                                                             "linecache",
                                                             "fileinput",
                                                             "glob",
                                                             "pathlib",
                                                             "io",
                                                             "_io",
                                                             "sqlite3",
                                                             "venv",
                                                             "unittest",
                                                             "test",
                                                             "nose",
                                                             "ssl"};
/// Of modules that are otherwise unknown or harmless.
constexpr std::array<std::string_view, 57> kDangerousNames{
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.open",
    "builtins.getattr",
    "builtins.setattr",
    "builtins.delattr",
    "builtins.__import__",
    "builtins.apply",
    "builtins.execfile",
    "builtins.breakpoint",
    "builtins.input",
    "builtins.globals",
    "builtins.locals",
    "builtins.vars",
    "builtins.map",
    "builtins.filter",
    "builtins.__build_class__",
    "builtins.help",
    "builtins.file",
    "builtins.reload",
    "builtins.dir",
    "builtins.memoryview",
    "builtins.super",
    "operator.attrgetter",
    "operator.itemgetter",
    "operator.methodcaller",
    "_operator.attrgetter",
    "_operator.itemgetter",
    "_operator.methodcaller",
    "functools.partial",
    "functools.reduce",
    "functools.partialmethod",
    "_functools.partial",
    "_functools.reduce",
    "itertools.starmap",
    "torch.load",
    "torch.save",
    "torch.serialization.load",
    "torch.storage._load_from_bytes",
    "torch.jit.unsupported_tensor_ops.execWrapper",
    "torch.hub.load",
    "torch.compile",
    "numpy.load",
    "numpy.fromfile",
    "numpy.memmap",
    "numpy.save",
    "numpy.savetxt",
    "joblib.load",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "logging.config.listen",
    "platform.popen",
    "uuid._get_command_stdout",
    "copyreg.__newobj__",
    "copyreg.add_extension"};
/// Beginnings of dotted names.
constexpr std::array<std::string_view, 9> kDangerousBeginnings{
    "numpy.testing.",   "numpy.f2py.", "numpy.distutils.",   "torch.utils.", "torch._dynamo.",
    "torch._inductor.", "torch.fx.",   "torch.distributed.", "torch.jit."};

constexpr std::array<std::string_view, 93> kHarmless{
    "types.SimpleNamespace",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "pathlib._local.PurePosixPath",
    "pathlib._local.PureWindowsPath",
    "pathlib.PureWindowsPath",
    "_io.BytesIO",
    "_io.StringIO",
    "io.BytesIO",
    "io.StringIO",
    "numpy.random._pickle.__bit_generator_ctor",
    "torch.jit._pickle.build_intlist",
    "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.build_tensor_from_id",
    "torch.jit._pickle.restore_type_tag",
    "pathlib.WindowsPath",
    "pathlib.PurePosixPath",
    "argparse.Namespace",
    "builtins.set",
    "builtins.frozenset",
    "builtins.dict",
    "builtins.list",
    "builtins.tuple",
    "builtins.int",
    "builtins.float",
    "builtins.str",
    "builtins.bytes",
    "builtins.bytearray",
    "builtins.bool",
    "builtins.complex",
    "builtins.slice",
    "builtins.range",
    "builtins.object",
    "builtins.unicode",
    "builtins.long",
    "builtins.xrange",
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.deque",
    "collections.Counter",
    "copyreg._reconstructor",
    "copy_reg._reconstructor",
    "_codecs.encode",
    "datetime.datetime",
    "datetime.date",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._tensor._rebuild_from_type_v2",
    "torch.Size",
    "torch.device",
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__generator_ctor",
    "numpy.matrix",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
    "numpy.random.bit_generator.SeedSequence",
    "numpy.random._pcg64.PCG64",
    "numpy.random._pcg64.PCG64DXSM",
    "numpy.random._mt19937.MT19937",
    "numpy.random._philox.Philox",
    "numpy.random._sfc64.SFC64",
    "numpy.ma.core._mareconstruct",
    "numpy.ma.core.MaskedArray",
    "numpy.ma.MaskedArray",
    "torch.torch_version.TorchVersion"};
constexpr std::array<std::string_view, 26> kTorchTypes{"float16",
                                                       "bfloat16",
                                                       "float32",
                                                       "float64",
                                                       "half",
                                                       "float",
                                                       "double",
                                                       "int8",
                                                       "int16",
                                                       "int32",
                                                       "int64",
                                                       "uint8",
                                                       "uint16",
                                                       "uint32",
                                                       "uint64",
                                                       "bool",
                                                       "complex64",
                                                       "complex128",
                                                       "long",
                                                       "int",
                                                       "short",
                                                       "per_tensor_affine",
                                                       "per_channel_affine",
                                                       "strided",
                                                       "sparse_coo",
                                                       "qint8"};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_torch_data(std::string_view module, std::string_view name) {
  if (module != "torch" || name.find('.') != name.npos) return false;
  return name.ends_with("Storage") || contains(kTorchTypes, name);
}

}  // namespace

ImportDanger danger_of_import(std::string_view module, std::string_view name) {
  if (module == "__builtin__") module = "builtins";
  const std::string whole = std::string(module) + "." + std::string(name);
  if (contains(kHarmless, whole)) return ImportDanger::kHarmless;
  // A name with dots walks through attributes, from any module into those that it has imported.
  for (std::size_t at = 0; at < whole.size();) {
    const std::size_t end = std::min(whole.find('.', at), whole.size());
    const std::string_view part = std::string_view(whole).substr(at, end - at);
    const bool in_module = at == 0 || at > module.size();  // not the middle of a module's own name
    const bool last = end == whole.size();
    if ((at == 0 || (in_module && !last)) && contains(kDangerousModules, part))
      return ImportDanger::kRunsCode;
    if (at > module.size() && part.starts_with("__")) {
      return ImportDanger::kRunsCode;
    }
    at = end + 1;
  }
  if (contains(kDangerousNames, whole)) return ImportDanger::kRunsCode;
  if (is_torch_data(module, name)) return ImportDanger::kHarmless;
  for (const std::string_view beginning : kDangerousBeginnings) {
    if (whole.starts_with(beginning)) return ImportDanger::kRunsCode;
  }
  return ImportDanger::kUnknown;
}

}  // namespace mlxguard::inspect
