# bash completion for taskgatectl(1)
# shellcheck shell=bash

# Ids of jobs, the newest first, at most 50: _taskgatectl_jobs open|all COMMAND [OPTION]...
# The gate lists the oldest first. All of a long list would take too long: then those that are not over have to do.
_taskgatectl_jobs() {
    local which=$1 most=5000
    local -a options=()
    shift
    if [[ $which == open ]]; then
        most=50 options=(--state queued --state held --state running)
    fi
    "$@" list "${options[@]}" --limit $most 2>/dev/null | awk -v which="$which" -v most=$most '
        NR > 1 { id[NR - 1] = $1 }
        END {
            if (which == "all" && NR > most) exit 1
            for (n = NR - 1; n > 0 && n > NR - 51; n--) print id[n]
        }' || _taskgatectl_jobs open "$@"
}

_taskgatectl_queues() {
    "$@" status 2>/dev/null | awk 'found { print $1 } $1 == "QUEUE" { found = 1 }'
}

_taskgatectl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' arguments=0 i word value words=''
    local -a gate=("${1/#\~\//$HOME/}")
    COMPREPLY=()
    # The = of --option=value is a word of its own (COMP_WORDBREAKS).
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    # Which gate is meant, wherever the line says it, and which command stands before the cursor.
    for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            --root | --state | --queue | --after | --limit | --attempt | --before | --patience | --config)
                [[ ${COMP_WORDS[i + 1]-} == = ]] && ((i++))
                ((i++))
                value=${COMP_WORDS[i]-}
                value=${value//[\"\'\\]/}
                [[ $word == --root ]] && gate+=(--root "${value/#\~\//$HOME/}")
                ;;
            --user) gate+=(--user) ;;
            -*) ;;
            *)
                if ((i >= COMP_CWORD)); then
                    continue
                elif [[ $command ]]; then
                    ((arguments++))
                else
                    command=$word
                fi
                ;;
        esac
    done

    case $prev in
        --root)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            return
            ;;
        --config | *[\<\>])
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --state) words='queued held running succeeded failed cancelled' ;;
        --queue) words=$(_taskgatectl_queues "${gate[@]}") ;;
        --after | --limit | --attempt | --before | --patience) return ;;
        *)
            if [[ $cur == -* ]]; then
                words='-h --help --root --user --json'
                case $command in
                    '') words+=' --version' ;;
                    list) words+=' --state --queue --after --limit' ;;
                    show) words+=' --before' ;;
                    logs) words+=' --attempt -f --follow --patience' ;;
                    wait) words+=' --patience' ;;
                    check) words+=' --queue --config' ;;
                esac
            else
                case $command in
                    '') words='status list show logs wait cancel reload check' ;;
                    show | logs) ((arguments)) || words=$(_taskgatectl_jobs all "${gate[@]}") ;;
                    cancel) ((arguments)) || words=$(_taskgatectl_jobs open "${gate[@]}") ;;
                    wait) words=$(_taskgatectl_jobs open "${gate[@]}") ;;
                    check)
                        compopt -o filenames 2>/dev/null
                        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                        return
                        ;;
                esac
                [[ $command ]] && compopt -o nosort 2>/dev/null
            fi
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _taskgatectl taskgatectl
