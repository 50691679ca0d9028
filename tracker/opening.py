"""From what a run is asked to recordings: every file and folder opened, its content known, claims checked."""

from reid.errors import BadInputError
from tracker.album import open_album
from tracker.errors import VideoError
from tracker.files import sha256
from tracker.manifest import check_claim, known_contents
from tracker.options import RunOptions, check_disjoint
from tracker.progress import Progress
from tracker.recordings import names_for
from tracker.types import Recording
from tracker.video import VideoReader


def open_recordings(options: RunOptions, progress: Progress) -> tuple[list[Recording], list[str]]:
    """Open every recording and take its content's hash; what cannot be read is told and left out.

    Returns:
        The recordings, videos first, and one message for each file that is not among them.

    Raises:
        BadInputError: one recording is given twice, ``disjoint`` names no camera, or ``out`` holds another run.
        VideoError: not one recording can be read.
        RunError: ``out`` cannot be used.
    """
    recordings: list[Recording] = []
    failed: list[str] = []
    known = known_contents(options.out)
    sources = [*options.videos, *options.images]
    names = names_for(sources)
    check_disjoint(options.disjoint, options.cameras or names)
    for number, path in enumerate(sources):
        photos: tuple[str, ...] = ()
        try:
            if path not in options.images:
                VideoReader(path).close()  # what is no video is told
            stat = path.stat()  # before its content is read: what changes meanwhile is another file next time
            if path in options.images:
                photos, content, unread = open_album(path)
                failed += unread
            else:
                found = known.get((str(path.resolve()), stat.st_size, stat.st_mtime_ns))
                content = found or sha256(path)
        except VideoError as error:
            failed.append(str(error))
            continue
        except OSError as error:
            failed.append(f"{path}: cannot be read ({error.strerror}); check the file and its permissions")
            continue
        same = next((other for other in recordings if other.content == content), None)
        if same:
            raise BadInputError(f"{path} and {same.path} are the same recording; give it once")
        camera = options.cameras[number] if options.cameras else names[number]
        start_s = options.starts[number] if options.starts else 0.0
        size, modified_ns = stat.st_size, stat.st_mtime_ns
        recordings.append(Recording(names[number], camera, path, content, start_s, photos, size, modified_ns))
    if not recordings:
        raise VideoError(
            failed[0] if len(failed) == 1 else f"none of {len(sources)} recordings can be read: {failed[0]}"
        )
    albums = [str(path.resolve()) for path in options.images]
    check_claim(options.out, [recording.content for recording in recordings], albums)
    for message in failed:
        progress.note(f"error: {message}")
    cameras = [recording.camera for recording in recordings if not recording.photos]
    if not options.starts and len(set(cameras)) < len(cameras):
        progress.note("warning: several recordings of one camera all start at 0; give --start-times to tell them apart")
    return recordings, failed
