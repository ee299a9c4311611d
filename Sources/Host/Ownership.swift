import HostSystem

extension DataDirectory {
    /// That nobody else has a hand in what is served: the folder and its token belong to who serves.
    /// - Parameter uids: who that may be.
    /// - Throws: `HostFailure`, saying what belongs to whom.
    package func requireOwner(_ uids: Set<UInt32>) throws {
        guard let folder = FileStanding(of: path) else { return }  // it is made later
        guard uids.contains(folder.owner) else {
            throw HostFailure(
                "the data directory \(path) belongs to uid \(folder.owner), not to who serves; name another with --data, or chown it"
            )
        }
        guard let token = FileStanding(of: tokenFile) else { return }
        guard token.isPlainFile, token.names == 1, uids.contains(token.owner) else {
            throw HostFailure(
                "\(tokenFile) belongs to uid \(token.owner), or is no plain file: whoever put it there would own this host; remove it, and serve makes a new one"
            )
        }
        guard token.isPrivate else {
            throw HostFailure(
                "\(tokenFile) can be read by others: they may hold the token; chmod 600 it, or remove it")
        }
    }
}
