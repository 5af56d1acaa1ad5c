//! Values of `ring` that hold key material: ring has no way to wipe them, so their memory is overwritten on drop.
use std::mem::{MaybeUninit, needs_drop};
use std::ops::Deref;

/// A value whose memory is overwritten with zeros when it is dropped. What the compiler left on the stack while the value
/// was made and moved here is not reached; boxed once, the value is not moved again.
pub struct Erased<T>(MaybeUninit<T>);

impl<T> Erased<T> {
    /// The types used own no heap memory: their bytes are all there is.
    const IS_FLAT: () = assert!(!needs_drop::<T>());

    pub fn new(value: T) -> Self {
        let () = Self::IS_FLAT;
        Self(MaybeUninit::new(value))
    }
}

impl<T> Deref for Erased<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` initialised it, and only `drop` overwrites it.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<T> Drop for Erased<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is valid for writes of the whole value; T has no drop glue (`IS_FLAT`), and as MaybeUninit
        // it may hold any bytes afterwards.
        unsafe { zeroize::zeroize_flat_type(self.0.as_mut_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_key_is_zero_after_drop() {
        let mut place = MaybeUninit::new(Erased::new([0xa5u8; 64]));
        // SAFETY: it is initialised, dropped once, and its bytes stay part of `place`.
        let bytes = unsafe {
            assert_eq!(place.assume_init_ref()[63], 0xa5);
            place.assume_init_drop();
            *place.as_ptr().cast::<[u8; 64]>()
        };
        assert_eq!(bytes, [0; 64]);
    }
}
