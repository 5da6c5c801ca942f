//! Writes without blocking, and without making the descriptor non-blocking: that would affect every process that shares
//! the pipe or socket. It saves two context switches compared with a thread that blocks.

/// A non-blocking writer.
#[cfg(unix)]
#[derive(Debug)]
pub struct NonBlockingWriter {
    output: std::os::fd::OwnedFd,
    kind: Kind,
}

#[cfg(unix)]
#[derive(Debug)]
enum Kind {
    Socket,
    #[cfg(target_os = "linux")]
    Pipe,
}

#[cfg(unix)]
impl NonBlockingWriter {
    /// `None` for outputs that can only block, such as terminals.
    pub fn new(output: &impl std::os::fd::AsFd) -> Option<Self> {
        use rustix::fs::{FileType, fstat};
        let output = output.as_fd().try_clone_to_owned().ok()?;
        let kind = match FileType::from_raw_mode(fstat(&output).ok()?.st_mode) {
            FileType::Socket => Kind::Socket,
            #[cfg(target_os = "linux")]
            FileType::Fifo => Kind::Pipe,
            _ => return None,
        };
        Some(Self { output, kind })
    }

    /// The number of written bytes, at least one; `None` if it would block or fails, which a blocking write then reports.
    pub fn write(&self, bytes: &[u8]) -> Option<usize> {
        let written = match self.kind {
            Kind::Socket => {
                use rustix::net::{SendFlags, send};
                #[cfg(target_os = "linux")]
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                #[cfg(not(target_os = "linux"))]
                let flags = SendFlags::DONTWAIT;
                send(&self.output, bytes, flags)
            }
            #[cfg(target_os = "linux")]
            Kind::Pipe => {
                use rustix::io::{ReadWriteFlags, pwritev2};
                // -1: at the current position. Older kernels refuse the flag for pipes.
                pwritev2(&self.output, &[std::io::IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT)
            }
        };
        written.ok().filter(|&count| count > 0)
    }
}

/// A non-blocking writer; not available on this platform.
#[cfg(not(unix))]
#[derive(Debug)]
pub enum NonBlockingWriter {}

#[cfg(not(unix))]
impl NonBlockingWriter {
    pub fn new<T>(_output: &T) -> Option<Self> {
        None
    }

    pub fn write(&self, _bytes: &[u8]) -> Option<usize> {
        match *self {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_full_pipe_or_socket_takes_nothing_and_keeps_waiting_for_others() {
        let (mut pipe_reader, pipe_writer) = std::io::pipe().unwrap();
        let (mut socket_reader, socket_writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let pipe = NonBlockingWriter::new(&pipe_writer).unwrap();
        let socket = NonBlockingWriter::new(&socket_writer).unwrap();
        let readers: [&mut dyn std::io::Read; 2] = [&mut pipe_reader, &mut socket_reader];
        for (way, reader) in [pipe, socket].iter().zip(readers) {
            let mut taken = 0;
            while let Some(count) = way.write(&[7; 3000]) {
                taken += count;
            }
            assert!(taken > 0, "{way:?}");
            let flags = rustix::fs::fcntl_getfl(&way.output).unwrap();
            assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK), "{way:?}");
            let mut received = vec![0; taken];
            reader.read_exact(&mut received).unwrap();
            assert!(received.iter().all(|&byte| byte == 7));
            assert_eq!(way.write(b"more"), Some(4), "{way:?}");
        }
    }

    #[test]
    fn a_file_is_waited_for_and_nobody_reading_is_left_to_who_waits() {
        assert!(NonBlockingWriter::new(&tempfile::tempfile().unwrap()).is_none());
        let (reader, mut writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(NonBlockingWriter::new(&writer).unwrap().write(b"x"), None);
        assert!(writer.write_all(b"x").is_err());
    }
}
