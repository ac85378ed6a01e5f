"""Names in Python code that deserve a look, by what they do. Plain tables; `risks.py` follows names to them."""

from __future__ import annotations

RISKS = {
    "program": "runs programs",
    "code": "makes, fetches or reads code and runs it",
    "pickle": "loads pickles or machine code, which can run anything",
    "network": "reaches the network",
    "files": "opens, writes or deletes files",
    "hidden": "hides what it does",
    "outside": "reads configs that are not in the bundle",
    "unknown": "uses what is not known here",
}
"""Kinds of what deserves a look, the worst first."""


def _table(**words: str) -> dict[str, str]:
    return {word: risk for risk, text in words.items() for word in text.split()}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ANYWHERE = _table(
    program="""
        subprocess popen Popen system getoutput getstatusoutput check_output check_call startfile fork forkpty pty
        posix_spawn posix_spawnp spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe execl execle execlp
        execlpe execv execve execvp execvpe fork_exec run_cmd subprocess_exec subprocess_shell create_subprocess_exec
        create_subprocess_shell exec_command killpg setuid setgid chroot""",
    code="""
        builtins __builtins__ __builtin__ importlib import_module __import__ runpy run_path run_module exec_module
        load_module create_module module_from_spec spec_from_file_location spec_from_loader SourceFileLoader zipimport
        FunctionType LambdaType CodeType codeop InteractiveInterpreter InteractiveConsole runsource runcode runctx
        cpp_extension load_inline f2py safe_eval run_eval runstring rundocs ConfigParser ConfigExpression
        ConfigComponent ConfigWorkflow create_workflow instantiate locate optional_import load_submodules pydoc
        get_type_hints ForwardRef _evaluate unsafe_eval
        fileConfig dictConfig PackageImporter CompilationUnit meta_path path_hooks addsitedir""",
    pickle="""
        pickle _pickle cPickle dill cloudpickle joblib marshal shelve jsonpickle read_pickle Unpickler pickle_module
        unsafe_load full_load unsafe_load_all full_load_all UnsafeLoader FullLoader load_library load_extension
        enable_load_extension ctypes _ctypes cffi dlopen CDLL PyDLL ctypeslib ExtensionFileLoader""",
    network="""
        socket _socket socketserver urllib urlopen urlretrieve httpx aiohttp ftplib smtplib telnetlib paramiko boto3
        xmlrpc webbrowser gdown huggingface_hub hf_hub_download snapshot_download push_to_hf_hub download_url
        download_url_to_file load_url load_state_dict_from_url download_and_extract download model_zoo
        create_connection download_large_files download_mmar load_from_mmar from_pretrained""",
    files="""
        shutil unlink rmtree rmdir removedirs write_text write_bytes symlink_to hardlink_to extractall
        unpack_archive tofile touch savefig imsave imwrite savetxt to_csv FileHandler RotatingFileHandler
        TimedRotatingFileHandler ZipFile TarFile GzipFile BZ2File LZMAFile DataSource""",
    hidden="""
        __subclasses__ __globals__ __mro__ __bases__ __base__ __code__ __closure__ __loader__ __spec__ __dict__
        __getattribute__ __reduce__ __reduce_ex__ __setstate__ f_globals f_builtins f_locals f_back tb_frame gi_frame
        gi_code cr_frame ag_frame attrgetter methodcaller b64decode b32decode b16decode b85decode a85decode unhexlify
        fromhex _getframe settrace setprofile""",
)
"""Names that deserve a look wherever they stand: modules that are reached through others, methods, aliases."""

AT_THE_ROOT = _table(
    program="""
        posix nt _posixsubprocess _winapi multiprocessing pexpect sh plumbum fabric ensurepip pip venv setuptools
        distutils pipes mailcap""",
    code="""
        code bdb pdb timeit cProfile profile trace doctest unittest test imp pkgutil site gc tkinter turtle
        antigravity numexpr jinja2 mako rlcompleter compileall py_compile cmd idlelib cgitb modulefinder zipapp""",
    pickle="dbm",
    network="""
        http ssl requests select selectors asyncio wget imaplib poplib nntplib grpc zmq websocket websockets mlflow
        wandb fsspec wsgiref smtpd asyncore asynchat""",
    files="sqlite3 fileinput mmap",
    hidden="codecs",
)
"""Modules whose names are common words elsewhere."""

WHOLE = {
    "torch.load": "pickle",
    "torch.hub": "code",
    "torch.jit.load": "pickle",
    "torch.package": "code",
    "torch.serialization": "pickle",
    "torch.storage": "pickle",
    "torch.multiprocessing": "program",
    "torch.save": "files",
    "torch.distributed.rpc": "program",
    "torch.distributed.run": "program",
    "torch.distributed.launch": "program",
    "torch.distributed.launcher": "program",
    "torch.distributed.elastic": "program",
    "torch.utils.collect_env": "program",
    "torch.utils.bottleneck": "code",
    "torch.fx": "code",
    "numpy.load": "files",
    "numpy.lib.npyio": "files",
    "numpy.lib.format": "pickle",
    "PIL.ImageShow": "program",
    "PIL.ImageMath": "code",
    "numpy.save": "files",
    "numpy.savez": "files",
    "numpy.savetxt": "files",
    "numpy.memmap": "files",
    "numpy.distutils": "program",
    "numpy.testing": "code",
    "monai.bundle": "code",
    "monai.apps": "network",
    "monai.apps.auto3dseg": "program",
    "monai.auto3dseg": "code",
    "monai.fl": "network",
    "yaml.load": "pickle",
    "yaml.load_all": "pickle",
    "pandas.eval": "code",
    "logging.config": "code",
    "io.open": "files",
    "io.open_code": "files",
    "io.FileIO": "files",
}
"""Names by their whole path, and everything below them."""

BUILTINS = _table(
    code="eval exec compile __import__ breakpoint help",
    files="open",
    hidden="getattr setattr delattr globals locals vars __loader__ __spec__ __build_class__ __builtins__",
)
"""Functions that are there without an import."""

OS_PLAIN = _words("""
    path PathLike fspath fsencode fsdecode environ getenv sep linesep altsep pathsep curdir pardir extsep devnull name
    cpu_count getpid getppid getcwd listdir scandir walk stat lstat fstat access makedirs mkdir urandom uname isatty
    get_terminal_size strerror error stat_result DirEntry sched_getaffinity times getloadavg umask fsync R_OK W_OK
    X_OK F_OK O_RDONLY utime close read sysconf SEEK_SET SEEK_CUR SEEK_END strerror
    """)
OS_FILES = _words("""
    open fdopen remove rename renames replace symlink link truncate ftruncate mkfifo mknod chmod chown write
    """)
SYS_PLAIN = _words("""
    argv stdout stderr stdin version version_info platform maxsize byteorder executable exit float_info int_info
    getsizeof getrefcount stdlib_module_names implementation hexversion prefix base_prefix flags exc_info intern
    getdefaultencoding getfilesystemencoding maxunicode getrecursionlimit
    """)
"""What of `os` and `sys` is nothing to look at; of the rest, `OS_FILES` is files and anything else is worse."""

KNOWN = _words("""
    monai torch numpy np ignite nibabel SimpleITK itk scipy skimage einops pydicom torchvision PIL matplotlib pandas
    sklearn tensorboard tqdm cv2 openslide tifffile transformers lpips radiomics gdcm yaml
    """)
"""Packages that bundles use."""
