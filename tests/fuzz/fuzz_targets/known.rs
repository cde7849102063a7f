#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| temper_fuzz::known(data));
