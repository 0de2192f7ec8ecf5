# What must come of each attack: NAME, VICTIM, at level full, in a container.
# KILLED: the process is dead before the call is made.
set(KILLED "verdict policy_syscall")

set(path_attacks open_file open_folder open_above_the_root create_file open_own_memory open_device
  stat_file)
set(self_attacks become_dumpable survive_parent raise_rlimit)
set(network_attacks tcp_listen udp_send unix_socket netlink_socket connect_given_socket)
set(process_attacks exec_program exec_memory fork clone_process clone_thread_with_namespace kill_parent
  abort_parent trace_parent read_parent_memory become_root become_another)
set(memory_attacks map_writable_and_executable make_written_memory_executable make_own_code_writable
  map_executable_memfd pkey_mprotect_executable call_by_32_bit_entry call_by_x32_entry)
set(kernel_attacks io_uring bpf perf_event userfaultfd keyctl mount unshare_user unshare_mount chroot
  another_filter system_v_memory personality)

# --- both, as they are --------------------------------------------------------------------------------
foreach(victim worker gateway)
  foreach(name IN LISTS path_attacks self_attacks)
    attack(${name} ${victim} EPERM EPERM)
  endforeach()
  foreach(name IN LISTS network_attacks process_attacks memory_attacks kernel_attacks)
    attack(${name} ${victim} ${KILLED} ${KILLED})
  endforeach()
  attack(inherited_descriptor ${victim} EBADF EBADF)
  attack(inherited_environment ${victim} ENOENT ENOENT)
  attack(thread_before_lock ${victim} "verdict start_failed" "verdict start_failed")
  attack(write_standard_error ${victim} succeeded succeeded)
endforeach()

# --- standard input is empty; standard output and error are the writing end of a pipe -------------------
# Neither process can open anything, and what both may do with a descriptor finds no offset and no peer there.
foreach(victim worker gateway)
  foreach(name reopen_standard_input reopen_standard_error open_terminal)
    attack(${name} ${victim} EPERM EPERM)
  endforeach()
  foreach(name read_vector_of_standard_error truncate_standard_error punch_standard_error own_standard_error
          grow_standard_error)
    attack(${name} ${victim} ${KILLED} ${KILLED})
  endforeach()
  attack(read_standard_input ${victim} ENODATA ENODATA)
  foreach(name read_standard_output read_standard_error read_copy_of_standard_error)
    attack(${name} ${victim} EBADF EBADF)
  endforeach()
  attack(write_standard_error_at ${victim} ESPIPE ESPIPE)
  attack(map_standard_error ${victim} EACCES EACCES)
  attack(receive_from_standard_error ${victim} ENOTSOCK ENOTSOCK)
endforeach()
attack(read_standard_error_at worker ESPIPE ESPIPE)
attack(seek_standard_error worker ESPIPE ESPIPE)
attack(type_into_terminal worker EPERM EPERM)
attack(read_standard_error_at gateway ${KILLED} ${KILLED})
attack(seek_standard_error gateway ${KILLED} ${KILLED})
attack(type_into_terminal gateway ${KILLED} ${KILLED})
# The descriptors refuse by themselves, whatever a filter lets through and where nothing is locked at all.
foreach(victim worker_without_seccomp gateway_without_seccomp unlocked)
  attack(read_standard_input ${victim} ENODATA ENODATA)
  foreach(name read_standard_output read_standard_error read_copy_of_standard_error read_vector_of_standard_error)
    attack(${name} ${victim} EBADF EBADF)
  endforeach()
  foreach(name read_standard_error_at seek_standard_error write_standard_error_at)
    attack(${name} ${victim} ESPIPE ESPIPE)
  endforeach()
  attack(truncate_standard_error ${victim} EINVAL EINVAL)
  attack(map_standard_error ${victim} EACCES EACCES)
  attack(type_into_terminal ${victim} ENOTTY ENOTTY)
endforeach()

# --- the processes themselves ---------------------------------------------------------------------------
# The worker computes in threads, the gateway has one.
attack(thread_starts worker succeeded succeeded)
attack(thread_opens_file worker EPERM EPERM)
attack(clone3_process worker ENOSYS ENOSYS)
foreach(name thread_starts thread_opens_file clone3_process)
  attack(${name} gateway ${KILLED} ${KILLED})
endforeach()

# --- the mirror: files outside of its state, other programs, other processes, listening --------------------
foreach(name open_file open_folder open_above_the_root create_file open_own_memory open_device
        thread_opens_file unix_socket)
  attack_alone(${name} mirror EACCES)
endforeach()
attack_alone(tcp_listen mirror EACCES landlock4)
foreach(name become_dumpable survive_parent set_rlimit ${process_attacks} ${kernel_attacks}
        map_executable_memfd pkey_mprotect_executable call_by_32_bit_entry call_by_x32_entry)
  attack_alone(${name} mirror ${KILLED})
endforeach()
attack_alone(raise_rlimit mirror succeeded)  # it only asks for the limit, which the mirror may
foreach(name map_writable_and_executable make_written_memory_executable make_own_code_writable)
  attack_alone(${name} mirror EPERM)
endforeach()
attack_alone(clone3_process mirror ENOSYS)
attack_alone(thread_before_lock mirror "verdict start_failed")
attack_alone(thread_starts mirror succeeded)
attack_alone(udp_send mirror succeeded)  # name servers
foreach(name open_file create_file open_own_memory open_device thread_opens_file exec_program exec_memory)
  attack_alone(${name} mirror_without_seccomp EACCES)
endforeach()
attack_alone(tcp_listen mirror_without_seccomp EACCES landlock4)
foreach(name trace_parent mount unshare_mount chroot gain_privileges)
  attack_alone(${name} mirror_without_seccomp EPERM)
endforeach()

# --- limits: counted by cgroups at full, by rlimits in a container ------------------------------------
attack(eat_memory worker "verdict memory" ENOMEM NO_CGROUP ENOMEM)
attack(eat_processor worker "verdict cpu_time" "verdict cpu_time")
# A container's processes are counted together with all others of their user, so nothing is limited.
attack(start_many_threads worker EAGAIN succeeded)
# The first process of a pid namespace is not killed by the signal, but meets the error.
attack(grow_memfd worker EFBIG "verdict crash_signal")
attack(open_many_descriptors worker EMFILE EMFILE)
attack(segmentation_fault worker "verdict crash_signal" "verdict crash_signal")
attack(abort worker "verdict crash_signal" "verdict crash_signal")
attack(exit_by_itself worker "verdict exited" "verdict exited")

# --- no lock: each of these is an attack indeed ----------------------------------------------------------
foreach(name open_file open_folder open_above_the_root create_file open_own_memory open_device stat_file
        thread_opens_file thread_before_lock tcp_listen unix_socket netlink_socket fork clone_process
        become_dumpable survive_parent raise_rlimit keyctl system_v_memory personality
        map_writable_and_executable make_written_memory_executable make_own_code_writable
        map_executable_memfd)
  attack(${name} unlocked succeeded succeeded)
endforeach()
foreach(name exec_program exec_memory)
  attack(${name} unlocked "verdict exited" "verdict exited")
endforeach()
# Spawn's namespaces alone stop some, where there are any; elsewhere they work.
attack(udp_send unlocked ENETUNREACH succeeded)
attack(kill_parent unlocked ESRCH succeeded)
attack(trace_parent unlocked ESRCH succeeded)
# What a container forbids by itself works in a namespace of one's own.
attack(become_root unlocked succeeded EPERM)
attack(unshare_user unlocked succeeded EPERM)
attack(unshare_mount unlocked succeeded EPERM)
attack(chroot unlocked succeeded EPERM)
attack(clone3_process unlocked succeeded ENOSYS)
# Spawn already sees to this one; the lock renews it, since a change of identity clears it.
attack(outlive_parent unlocked EPERM EPERM)
attack(be_dumpable unlocked succeeded succeeded)
attack(gain_privileges unlocked succeeded EPERM)  # a container forbids it by itself

# --- without seccomp: the layers below stand alone --------------------------------------------------------
foreach(process worker gateway)
  set(victim ${process}_without_seccomp)
  # At full the path does not exist (empty root); in a container Landlock refuses it.
  foreach(name open_file open_above_the_root create_file open_own_memory open_device thread_opens_file
          exec_program exec_memory)
    attack(${name} ${victim} ENOENT EACCES)
  endforeach()
  attack(open_folder ${victim} EACCES EACCES)       # Landlock, on the empty root itself
  attack(tcp_listen ${victim} EACCES EACCES NEEDS landlock4)
  attack(udp_send ${victim} ENETUNREACH succeeded)  # Landlock's gap, closed by the namespace
  attack(stat_file ${victim} ENOENT succeeded)      # Landlock's gap, closed by the empty root
  attack(kill_parent ${victim} ESRCH EPERM CONTAINER_NEEDS landlock6)  # pid namespace; Landlock
  attack(trace_parent ${victim} ESRCH EPERM)
  attack(read_parent_memory ${victim} ESRCH EPERM)
  # Identity and capabilities are gone. An ordinary user's process is number 0 of its own namespace all along,
  # which without capabilities is nobody.
  attack(become_root ${victim} EPERM EPERM NO_CGROUP succeeded)
  foreach(name mount unshare_mount chroot)
    attack(${name} ${victim} EPERM EPERM)
  endforeach()
  # The kernel's write-or-execute switch.
  foreach(name map_writable_and_executable make_written_memory_executable make_own_code_writable)
    attack(${name} ${victim} EACCES EACCES NEEDS mdwe)
  endforeach()
  # no_new_privs, dumpable and the parent-death signal.
  foreach(name gain_privileges be_dumpable outlive_parent)
    attack(${name} ${victim} EPERM EPERM)
  endforeach()
endforeach()
