# fish completion for taskgated(8)

# Without the --root= that stands before it.
function __fish_taskgated_directories
    __fish_complete_directories (commandline -ct | string replace -- --root= '')
end

complete -c taskgated -f
complete -c taskgated -s h -l help -d 'Show help and exit'
complete -c taskgated -l version -d 'Show the version and exit'
complete -c taskgated -l root -x -a '(__fish_taskgated_directories)' -d 'Everything below a directory'
complete -c taskgated -l user -d 'Your own gate, in your home directory'
complete -c taskgated -l config -r -F -d 'Read another file instead of taskgated.yaml'
complete -c taskgated -l check -d 'Check the configuration and exit'
complete -c taskgated -l check-store -d 'Check the database, also of a running gate'
