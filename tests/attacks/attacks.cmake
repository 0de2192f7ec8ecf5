# What must come of each attack: NAME, VICTIM, at level full, at level container.
# KILLED: the process is dead before the call is made.
set(KILLED "verdict policy_syscall")

# --- the worker, as it is ---------------------------------------------------------------------------
foreach(name open_file open_folder open_above_the_root create_file open_own_memory open_device stat_file
        thread_opens_file become_dumpable survive_parent raise_rlimit)
  attack(${name} worker EPERM EPERM)
endforeach()
foreach(name
        tcp_listen udp_send unix_socket netlink_socket connect_given_socket
        exec_program exec_memory fork clone_process clone_thread_with_namespace
        kill_parent abort_parent trace_parent read_parent_memory become_root become_another
        map_writable_and_executable make_written_memory_executable make_own_code_writable
        map_executable_memfd pkey_mprotect_executable call_by_32_bit_entry call_by_x32_entry
        io_uring bpf perf_event userfaultfd keyctl mount unshare_user unshare_mount chroot
        another_filter system_v_memory personality)
  attack(${name} worker ${KILLED} ${KILLED})
endforeach()
attack(clone3_process worker ENOSYS ENOSYS)
attack(inherited_descriptor worker EBADF EBADF)
attack(inherited_environment worker ENOENT ENOENT)
attack(thread_before_lock worker "verdict start_failed" "verdict start_failed")
attack(thread_starts worker succeeded succeeded)
attack(write_standard_output worker succeeded succeeded)

# --- limits: counted by cgroups at full, by rlimits in a container ------------------------------------
attack(eat_memory worker "verdict memory" ENOMEM)
attack(eat_processor worker "verdict cpu_time" "verdict cpu_time")
# A container's processes are counted together with all others of their user, so nothing is limited.
attack(start_many_threads worker EAGAIN succeeded)
# The first process of a pid namespace is not killed by the signal, but meets the error.
attack(grow_memfd worker EFBIG "verdict crash_signal")
attack(open_many_descriptors worker EMFILE EMFILE)
attack(segmentation_fault worker "verdict crash_signal" "verdict crash_signal")
attack(abort worker "verdict crash_signal" "verdict crash_signal")
attack(exit_by_itself worker "verdict exited" "verdict exited")
