# fish completion for taskgated(8). The part between BEGIN and END is made by packaging/documents.

# Without the --root= that stands before it.
function __fish_taskgated_directories
    __fish_complete_directories (commandline -ct | string replace -- --root= '')
end

# BEGIN GENERATED options
complete -c taskgated -f
complete -c taskgated -s h -l help -d 'Show this help message and exit'
complete -c taskgated -l root -x -a '(__fish_taskgated_directories)' -d 'The gate under DIR (default: $TASKGATE_ROOT)'
complete -c taskgated -l user -d 'Your own gate, in your home directory'
complete -c taskgated -l config -r -F -d 'Read FILE instead of taskgated.yaml'
complete -c taskgated -l check -d 'Check the configuration and exit'
complete -c taskgated -l check-store -d 'Check the database, also of a running gate'
complete -c taskgated -l version -d 'Show program\'s version number and exit'
# END GENERATED
