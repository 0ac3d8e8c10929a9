//! The program of the pause image: pid 1 of each pod, which holds its namespaces.
//!
//! There is one of it for every pod, so it is written as a whole here: 286 bytes of x86-64 ELF
//! without a library, whose process has one page of memory. It waits for signals, collects the
//! children that a pod's other processes left behind, and ends at SIGTERM and SIGINT, as
//! Kubernetes' own does.

/// Where the program is in memory, and so in its file.
const BASE: u64 = 0x40_0000;
/// ELF header and two program headers (ELF-64 object file format, sections 2 and 8).
const HEADERS: usize = 64 + 2 * 56;

/// System calls by number (`asm/unistd_64.h`), with the numbers and places that they take
/// checked by the test that runs it.
#[rustfmt::skip]
const CODE: &[u8] = &[
    // rt_sigprocmask(SIG_BLOCK, set, NULL, 8): a blocked signal waits even for a pid 1 that
    // has no handler for it.
    0xb8, 14, 0, 0, 0,             // mov eax, 14
    0x31, 0xff,                    // xor edi, edi
    0x48, 0x8d, 0x35, 88, 0, 0, 0, // lea rsi, [rip + set]
    0x31, 0xd2,                    // xor edx, edx
    0x41, 0xba, 8, 0, 0, 0,        // mov r10d, 8
    0x0f, 0x05,                    // syscall
    // wait: rt_sigtimedwait(set, NULL, NULL, 8)
    0xb8, 128, 0, 0, 0,            // mov eax, 128
    0x48, 0x8d, 0x3d, 66, 0, 0, 0, // lea rdi, [rip + set]
    0x31, 0xf6,                    // xor esi, esi
    0x31, 0xd2,                    // xor edx, edx
    0x41, 0xba, 8, 0, 0, 0,        // mov r10d, 8
    0x0f, 0x05,                    // syscall
    0x83, 0xf8, 15,                // cmp eax, SIGTERM
    0x74, 40,                      // je end
    0x83, 0xf8, 2,                 // cmp eax, SIGINT
    0x74, 35,                      // je end
    0x83, 0xf8, 17,                // cmp eax, SIGCHLD
    0x75, 0xd9,                    // jne wait
    // collect: wait4(-1, NULL, WNOHANG, NULL) while there is a dead child
    0xb8, 61, 0, 0, 0,             // mov eax, 61
    0x48, 0xc7, 0xc7, 0xff, 0xff, 0xff, 0xff, // mov rdi, -1
    0x31, 0xf6,                    // xor esi, esi
    0xba, 1, 0, 0, 0,              // mov edx, 1
    0x45, 0x31, 0xd2,              // xor r10d, r10d
    0x0f, 0x05,                    // syscall
    0x85, 0xc0,                    // test eax, eax
    0x7f, 0xe4,                    // jg collect
    0xeb, 0xbb,                    // jmp wait
    // end: exit_group(0)
    0xb8, 231, 0, 0, 0,            // mov eax, 231
    0x31, 0xff,                    // xor edi, edi
    0x0f, 0x05,                    // syscall
    // set: SIGINT, SIGTERM, SIGCHLD
    0x02, 0x40, 0x01, 0, 0, 0, 0, 0,
];

/// The program, as an executable file.
pub fn program() -> Vec<u8> {
    let size = (HEADERS + CODE.len()) as u64;
    let mut elf = Vec::with_capacity(HEADERS + CODE.len());
    // 64 bits, little-endian, version 1, System V.
    elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let (executable, x86_64, version) = (2_u16, 62_u16, 1_u32);
    elf.extend_from_slice(&executable.to_le_bytes());
    elf.extend_from_slice(&x86_64.to_le_bytes());
    elf.extend_from_slice(&version.to_le_bytes());
    let (program_headers, section_headers) = (64, 0);
    for field in [BASE + HEADERS as u64, program_headers, section_headers] {
        elf.extend_from_slice(&field.to_le_bytes());
    }
    elf.extend_from_slice(&0_u32.to_le_bytes()); // flags
    // Sizes of this header, a program header and their count; no sections.
    for field in [64_u16, 56, 2, 64, 0, 0] {
        elf.extend_from_slice(&field.to_le_bytes());
    }
    let (load, gnu_stack) = (1_u32, 0x6474_e551_u32);
    let (execute_read, read_write) = (5_u32, 6_u32);
    for (kind, flags, address, size, align) in [
        (load, execute_read, BASE, size, 0x1000),
        (gnu_stack, read_write, 0, 0, 16),
    ] {
        elf.extend_from_slice(&kind.to_le_bytes());
        elf.extend_from_slice(&flags.to_le_bytes());
        for field in [0, address, address, size, size, align] {
            elf.extend_from_slice(&field.to_le_bytes());
        }
    }
    elf.extend_from_slice(CODE);
    elf
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::{fs::OpenOptionsExt as _, process::ExitStatusExt as _},
        process::{Child, Command},
        time::{Duration, Instant},
    };

    use super::*;

    /// A running program that ends with the test, also with one that fails.
    struct Pause(
        Child,
        #[expect(dead_code, reason = "removed with it")] tempfile::TempDir,
    );

    impl Drop for Pause {
        fn drop(&mut self) {
            // It has ended by itself in a test that succeeds.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn start() -> Pause {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        let mut file = std::fs::OpenOptions::new();
        file.create_new(true).write(true).mode(0o755);
        file.open(&path).unwrap().write_all(&program()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match Command::new(&path).spawn() {
                // Another test's child, between fork and exec, has the file open for writing.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    assert!(Instant::now() < deadline);
                }
                other => return Pause(other.unwrap(), folder),
            }
        }
    }

    fn kill(pause: &Pause, signal: &str) {
        let id = pause.0.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success());
    }

    /// Returns once the process is in `rt_sigtimedwait`.
    fn wait_until_it_waits(pause: &Pause) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let path = format!("/proc/{}/syscall", pause.0.id());
        while !std::fs::read_to_string(&path).unwrap().starts_with("128 ") {
            assert!(Instant::now() < deadline, "it does not wait for signals");
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_waits_survives_a_childs_signal_and_ends_when_told() {
        for signal in ["-TERM", "-INT"] {
            let mut pause = start();
            wait_until_it_waits(&pause);
            kill(&pause, "-CHLD");
            wait_until_it_waits(&pause);
            assert!(pause.0.try_wait().unwrap().is_none());
            kill(&pause, signal);
            let status = pause.0.wait().unwrap();
            assert_eq!((status.code(), status.signal()), (Some(0), None));
        }
    }

    #[test]
    fn its_size_is_what_the_text_above_says() {
        assert_eq!(program().len(), 286);
    }
}
