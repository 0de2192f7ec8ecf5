// SPDX-License-Identifier: Apache-2.0
//! The C interface of mlxguard_tokenizer.h over the `tokenizers` crate.
//! Input: a signed tokenizer file, and text from a client. Every pointer comes from our own engine.

use std::ffi::c_char;
use tokenizers::tokenizer::{PostProcessor, Tokenizer, TruncationDirection};

const ABI: u32 = 1;

#[repr(C)]
pub struct ErrorBuffer {
    message: *mut c_char,
    capacity: usize,
}

impl ErrorBuffer {
    /// Writes as much of `text` as fits, cut at a character, and the final NUL.
    fn write(&self, text: &str) {
        if self.message.is_null() || self.capacity == 0 {
            return;
        }
        let mut end = text.len().min(self.capacity - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        // SAFETY: the caller promises `capacity` writable bytes at `message`; end < capacity.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), self.message.cast::<u8>(), end);
            *self.message.add(end) = 0;
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Ok = 0,
    Argument = 1,
    Utf8 = 2,
    Tokenizer = 3,
}

pub struct LoadedTokenizer {
    tokenizer: Tokenizer,
    special_tokens: usize,
    vocabulary_size: usize,
}

impl LoadedTokenizer {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
        // Both belong to the caller, who knows the model's limits; the file's are defaults of training.
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        let special_tokens =
            tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        let vocabulary_size = tokenizer
            .get_vocab(true)
            .into_values()
            .max()
            .map_or(0, |largest| largest as usize + 1);
        Ok(Self { tokenizer, special_tokens, vocabulary_size })
    }

    /// The ids of the text cut to `tokens_max`, and how many there were before.
    fn encode(&self, text: &str, tokens_max: usize) -> Result<(Vec<u32>, usize), String> {
        let mut encoding =
            self.tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
        let whole = encoding.len() + self.special_tokens;
        encoding.truncate(tokens_max - self.special_tokens, 0, TruncationDirection::Right);
        drop(encoding.take_overflowing()); // the rest of the text, which post-processing would copy
        let encoding = self
            .tokenizer
            .post_process(encoding, None, true)
            .map_err(|error| error.to_string())?;
        Ok((encoding.get_ids().to_vec(), whole))
    }
}

#[no_mangle]
pub extern "C" fn mlxguard_tokenizer_abi() -> u32 {
    ABI
}

/// # Safety
/// `bytes` has `size` readable bytes; `error` is as mlxguard_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_tokenizer_load(
    bytes: *const u8,
    size: usize,
    size_max: usize,
    error: ErrorBuffer,
) -> *mut LoadedTokenizer {
    if bytes.is_null() || size > size_max {
        error.write("the tokenizer file is missing or larger than allowed");
        return std::ptr::null_mut();
    }
    // SAFETY: as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, size) };
    match LoadedTokenizer::parse(bytes) {
        Ok(loaded) => Box::into_raw(Box::new(loaded)),
        Err(reason) => {
            error.write(&reason);
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// `tokenizer` came from `mlxguard_tokenizer_load` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_tokenizer_free(tokenizer: *mut LoadedTokenizer) {
    if !tokenizer.is_null() {
        // SAFETY: as the caller promises.
        drop(unsafe { Box::from_raw(tokenizer) });
    }
}

/// # Safety
/// `tokenizer` came from `mlxguard_tokenizer_load`.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_tokenizer_vocabulary_size(
    tokenizer: *const LoadedTokenizer,
) -> usize {
    // SAFETY: as the caller promises.
    unsafe { tokenizer.as_ref() }.map_or(0, |loaded| loaded.vocabulary_size)
}

/// # Safety
/// Pointers are as mlxguard_tokenizer.h says; `ids` has room for `tokens_max`.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_tokenizer_encode(
    tokenizer: *const LoadedTokenizer,
    text: *const c_char,
    text_size: usize,
    tokens_max: usize,
    ids: *mut u32,
    count: *mut usize,
    count_before_truncation: *mut usize,
    error: ErrorBuffer,
) -> Status {
    // SAFETY: as the caller promises.
    let Some(loaded) = (unsafe { tokenizer.as_ref() }) else {
        return Status::Argument;
    };
    if text.is_null() || ids.is_null() || count.is_null() || count_before_truncation.is_null() {
        return Status::Argument;
    }
    if tokens_max < loaded.special_tokens {
        error.write("no room for the special tokens");
        return Status::Argument;
    }
    // SAFETY: as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), text_size) };
    let Ok(text) = std::str::from_utf8(bytes) else {
        error.write("the text is not UTF-8");
        return Status::Utf8;
    };
    match loaded.encode(text, tokens_max) {
        // A post-processor that announces fewer special tokens than it adds would overrun `ids`.
        Ok((encoded, whole)) if encoded.len() <= tokens_max => {
            // SAFETY: `ids` has room for `tokens_max`.
            unsafe {
                std::ptr::copy_nonoverlapping(encoded.as_ptr(), ids, encoded.len());
                *count = encoded.len();
                *count_before_truncation = whole;
            }
            Status::Ok
        }
        Ok(_) => {
            error.write("the tokenizer adds more special tokens than it announces");
            Status::Tokenizer
        }
        Err(reason) => {
            error.write(&reason);
            Status::Tokenizer
        }
    }
}
