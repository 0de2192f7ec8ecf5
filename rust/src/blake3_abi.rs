// SPDX-License-Identifier: Apache-2.0
//! The C interface of mlxguard_blake3.h over the `blake3` crate: a digest of bytes that come in order, and
//! the tree's inner values for pieces that are hashed in any order, on any thread of the caller's.
//! Input: bytes of any length. No allocation but the hasher itself, no threads, no files.

use blake3::hazmat::{merge_subtrees_non_root, merge_subtrees_root, HasherExt, Mode};
use blake3::Hasher;

const DIGEST_BYTES: usize = blake3::OUT_LEN;

/// # Safety
/// `bytes` has `size` readable bytes, or `size` is 0.
unsafe fn slice<'a>(bytes: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(bytes, size) }
}

/// # Safety
/// `value` has 32 readable bytes.
unsafe fn value(value: *const u8) -> [u8; DIGEST_BYTES] {
    let mut copy = [0; DIGEST_BYTES];
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(value, copy.as_mut_ptr(), DIGEST_BYTES) };
    copy
}

/// # Safety
/// `out` has 32 writable bytes.
unsafe fn give(out: *mut u8, digest: &[u8; DIGEST_BYTES]) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(digest.as_ptr(), out, DIGEST_BYTES) };
}

#[no_mangle]
pub extern "C" fn mlxguard_blake3_new(offset: u64) -> *mut Hasher {
    let mut hasher = Hasher::new();
    if offset > 0 {
        hasher.set_input_offset(offset);
    }
    Box::into_raw(Box::new(hasher))
}

/// # Safety
/// `hasher` came from `mlxguard_blake3_new` and was not freed; `bytes` has `size` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_blake3_update(hasher: *mut Hasher, bytes: *const u8, size: usize) {
    // SAFETY: see above.
    let (hasher, bytes) = unsafe { (&mut *hasher, slice(bytes, size)) };
    hasher.update(bytes);
}

/// # Safety
/// As above; `out` has 32 writable bytes.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_blake3_digest(hasher: *const Hasher, out: *mut u8) {
    // SAFETY: see above.
    unsafe { give(out, (*hasher).finalize().as_bytes()) };
}

/// # Safety
/// As above; `out` has 32 writable bytes.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_blake3_inner(hasher: *const Hasher, out: *mut u8) {
    // SAFETY: see above.
    unsafe { give(out, &(*hasher).finalize_non_root()) };
}

/// # Safety
/// `hasher` came from `mlxguard_blake3_new` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_blake3_free(hasher: *mut Hasher) {
    if !hasher.is_null() {
        // SAFETY: see above.
        drop(unsafe { Box::from_raw(hasher) });
    }
}

/// # Safety
/// `left` and `right` have 32 readable bytes, `out` 32 writable ones; `out` may be one of them.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_blake3_join(left: *const u8, right: *const u8, out: *mut u8) {
    // SAFETY: see above.
    unsafe { give(out, &merge_subtrees_non_root(&value(left), &value(right), Mode::Hash)) };
}

/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn mlxguard_blake3_join_root(left: *const u8, right: *const u8, out: *mut u8) {
    // SAFETY: see above.
    unsafe { give(out, merge_subtrees_root(&value(left), &value(right), Mode::Hash).as_bytes()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_digest_of_the_whole() {
        let whole: Vec<u8> = (0..5000u32).map(|i| i as u8).collect();
        let inner = |offset: usize, size: usize| {
            let hasher = mlxguard_blake3_new(offset as u64);
            let mut out = [0; DIGEST_BYTES];
            unsafe {
                mlxguard_blake3_update(hasher, whole[offset..].as_ptr(), size);
                mlxguard_blake3_inner(hasher, out.as_mut_ptr());
                mlxguard_blake3_free(hasher);
            }
            out
        };
        let (left, right) = (inner(0, 4096), inner(4096, 904));
        let mut root = [0; DIGEST_BYTES];
        unsafe { mlxguard_blake3_join_root(left.as_ptr(), right.as_ptr(), root.as_mut_ptr()) };
        assert_eq!(&root, blake3::hash(&whole).as_bytes());
    }
}
