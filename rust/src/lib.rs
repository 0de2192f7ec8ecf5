// SPDX-License-Identifier: Apache-2.0
//! One static library with a C interface: the tokenizers of an engine (mlxguard_tokenizer.h), and BLAKE3
//! (mlxguard_blake3.h). Without the feature `tokenizers` it is BLAKE3 alone.

mod blake3_abi;
#[cfg(feature = "tokenizers")]
mod tokenizer_abi;
